import { makeDirectories, readText, removeFile, renameFile, syncDirectory } from "../lib/sys/file.ts"
import { type Command, DONE, Unusable } from "./command.ts"
import { copyFile } from "./copy.ts"
import { BadList, problemOf, readNetworkList } from "./survey/network-list.ts"

const DEFAULT_TARGET = "/etc/cni/net.d/10-cni-ts.conflist"

export const configureCommand: Command = {
  usage: "configure FILE [TARGET]",
  purpose: "puts a network into a node's configuration directory",
  help: `Copies the network configuration list FILE to TARGET, by rename; without it to
${DEFAULT_TARGET}. What is no such list is refused: it would leave the node without a network.
`,
  minArguments: 1,
  maxArguments: 2,
  run: ([file = "", target = DEFAULT_TARGET]) => configure(file, target),
}

function configure(file: string, target: string): number {
  if (!target.endsWith(".conflist")) throw new Unusable(`${target} is not named .conflist: no runtime would read it`)
  const problem = problemIn(readText(file, 1 << 20))
  if (problem !== undefined) throw new Unusable(`${file} is no network configuration list: ${problem}`)
  const directory = target.slice(0, target.lastIndexOf("/")) || "."
  makeDirectories(directory, 0o755)
  const fresh = `${target}.new` // no runtime reads a file of that name
  removeFile(fresh)
  copyFile(file, fresh, 0o644)
  renameFile(fresh, target)
  syncDirectory(directory)
  return DONE
}

/** Says what keeps the text from being a network configuration list; undefined if nothing does. */
function problemIn(text: string): string | undefined {
  try {
    const list = readNetworkList(text)
    return list.isList ? problemOf(list) : "plugins is missing"
  } catch (error) {
    if (error instanceof BadList) return error.message
    throw error
  }
}
