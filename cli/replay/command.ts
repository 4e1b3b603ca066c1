import { executablePath, writeStdout } from "../../lib/sys/process.ts"
import { type Command, type Options, Unusable } from "../command.ts"
import { formatFrom } from "../format.ts"
import { readCalls } from "../record/read.ts"
import { printReplay } from "./print.ts"
import { Replay } from "./replay.ts"
import { ScratchMachine } from "./scratch.ts"
import { makeUplinks } from "./uplinks.ts"

/** Exit statuses. */
const [AS_RECORDED, OTHERWISE, IMPOSSIBLE] = [0, 1, 2]

export const replayCommand: Command = {
  usage: "replay DIR [--plugins PATH] [-o json]",
  purpose: "makes recorded calls again, apart from the node, and compares the answers",
  help: `Makes the calls that record has written to DIR, in their order, with the plugins that lie beside this program, in namespaces and
directories that vanish with it: they begin empty, and neither network nor files of this node can be changed. What chance or other
pods have chosen (MAC addresses, names of host ends, which address of a network) may be another than recorded, but has to be the
same wherever it comes again.

  --plugins PATH   with the plugins in that directory

Exit status: 0 every answer is as recorded, 1 some are not, 2 the calls cannot be made.
`,
  minArguments: 1,
  maxArguments: 1,
  options: { "--plugins": "value", "-o": "value" },
  unable: IMPOSSIBLE,
  run: ([directory = ""], options) => replay(directory, options),
}

function replay(directory: string, options: Options): number {
  const format = formatFrom(options)
  const files = readCalls(directory)
  if (files.length === 0) throw new Unusable(`there are no recorded calls in ${directory}`)
  const replay = new Replay(new ScratchMachine(options.get("--plugins") ?? ownDirectory()))
  makeUplinks(files.map(({ call }) => call))
  const calls = files.map((file) => replay.call(file))
  writeStdout(format === "json" ? `${JSON.stringify({ calls }, null, 2)}\n` : printReplay(calls))
  return calls.some(({ verdict }) => verdict === "different") ? OTHERWISE : AS_RECORDED
}

function ownDirectory(): string {
  const path = executablePath()
  return path.slice(0, path.lastIndexOf("/"))
}
