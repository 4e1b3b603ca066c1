import { host } from "../lib/sys/host.ts"
import type { Command } from "./command.ts"

const DAY = 86_400_000

export const idleCommand: Command = {
  usage: "idle",
  purpose: "does nothing until it is killed",
  help: "For a container that has to be there after what its pod was made for is done.\n",
  minArguments: 0,
  maxArguments: 0,
  run: () => {
    for (;;) host.sleep(DAY)
  },
}
