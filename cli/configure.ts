import { CniError } from "../lib/cni/errors.ts"
import { Fields, readFields } from "../lib/cni/fields.ts"
import { isObject, type Json, JsonError, parseJson } from "../lib/cni/json.ts"
import { makeDirectories, readText, removeFile, renameFile, syncDirectory } from "../lib/sys/file.ts"
import { type Command, Unusable } from "./command.ts"
import { copyFile } from "./copy.ts"

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

function configure(file: string, target: string): void {
  if (!target.endsWith(".conflist")) throw new Unusable(`${target} is not named .conflist: no runtime would read it`)
  const problem = problemOf(readText(file, 1 << 20))
  if (problem !== undefined) throw new Unusable(`${file} is no network configuration list: ${problem}`)
  const directory = target.slice(0, target.lastIndexOf("/")) || "."
  makeDirectories(directory, 0o755)
  const fresh = `${target}.new` // no runtime reads a file of that name
  removeFile(fresh)
  copyFile(file, fresh, 0o644)
  renameFile(fresh, target)
  syncDirectory(directory)
}

/** Says what keeps the text from being a network configuration list; undefined if nothing does. */
function problemOf(text: string): string | undefined {
  try {
    const document: Json = parseJson(text)
    if (!isObject(document)) return "the document is no object"
    const list = new Fields(document)
    for (const key of ["cniVersion", "name"]) if (!list.string(key)) return `${key} is missing`
    const types = list.list("plugins", (value, path) => readFields(value, path).string("type")) ?? []
    if (types.length === 0) return "plugins is missing"
    return types.every(Boolean) ? undefined : "a plugin has no type"
  } catch (error) {
    if (error instanceof JsonError || error instanceof CniError) return error.message
    throw error
  }
}
