import { relative } from "node:path"
import { testsIn } from "./tests-in-guest.ts"

// Runs tests in the VM and prints how they ended: npx tsx conformance/systems/vm/run.ts FILE-OR-DIRECTORY... [-t PATTERN]
const args = process.argv.slice(2)
const at = args.indexOf("-t")
const [paths, pattern] = at < 0 ? [args, undefined] : [args.slice(0, at), args[at + 1]]

testsIn(paths, pattern).then((outcomes) => {
  for (const { file, name, failure } of outcomes)
    console.log(failure ? `FAILED ${relative("", file)}: ${name}\n${failure}` : `passed ${relative("", file)}: ${name}`)
  process.exitCode = outcomes.some(({ failure }) => failure) ? 1 : 0
})
