import { executablePath } from "../../lib/sys/process.ts"
import { type Command, DONE } from "../command.ts"
import { install } from "./install.ts"
import { uninstall } from "./uninstall.ts"

const DEFAULT_DIRECTORY = "/opt/cni/bin"

export const installCommand: Command = {
  usage: "install [DIR]",
  purpose: "puts the plugins into a node's plugin directory",
  help: `Copies the executables that lie beside this one into DIR (${DEFAULT_DIRECTORY}), and has each plugin's name
mean the new one by rename: a call that comes meanwhile runs the old file or the new one, whole.
What bore a name before stays in DIR/.cni-ts/replaced, for uninstall. Again, it upgrades.
If it is interrupted, do it again.
`,
  minArguments: 0,
  maxArguments: 1,
  run: ([directory = DEFAULT_DIRECTORY]) => {
    install(ownDirectory(), directory)
    return DONE
  },
}

export const uninstallCommand: Command = {
  usage: "uninstall [DIR]",
  purpose: "puts back what was there before",
  help: `Gives every name in DIR (${DEFAULT_DIRECTORY}) that install took back to what bore it before the first install, or
to nobody. What others have put there since stays. If it is interrupted, do it again.
`,
  minArguments: 0,
  maxArguments: 1,
  run: ([directory = DEFAULT_DIRECTORY]) => {
    uninstall(directory)
    return DONE
  },
}

function ownDirectory(): string {
  const path = executablePath()
  return path.slice(0, path.lastIndexOf("/"))
}
