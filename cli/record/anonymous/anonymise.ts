import type { Json } from "../../../lib/cni/json.ts"
import { renameFile, writeNew } from "../../../lib/sys/file.ts"
import { documentIn } from "../../document.ts"
import { removeTree } from "../../install/tree.ts"
import { readCalls } from "../read.ts"
import { type Answer, printCall, type RecordedCall } from "../recorded-call.ts"
import { Addresses } from "./addresses.ts"
import { Names } from "./names.ts"

/** Variables of the environment that are of use to a reader. Of others only the name is kept. */
const KEPT = /^(?:CNI_|PATH$|LANG$|GOMAXPROCS$)/
/** Finds the strings of a document in JSON, with the colon behind those that are keys. */
const STRING = /"(?:[^"\\]|\\.)*"(\s*:)?/gs

/**
 * Writes the calls in the directory `raw` to another one, with other words in place of names, addresses and secrets, and removes `raw`, whose name
 * goes first: calls that end late are not added.
 */
export function anonymise(raw: string, to: string): void {
  const from = `${raw}.ended`
  renameFile(raw, from)
  const [names, addresses] = [new Names(), new Addresses()]
  const files = readCalls(from)
  for (const { call } of files) {
    names.learn(call, documentsIn(call))
    for (const text of textsOf(call)) addresses.learn(text)
  }
  const replaceNames = names.replacer()
  const replace = (text: string) => addresses.replace(text, replaceNames)
  for (const { name, call } of files) {
    writeNew(`${to}/${name}`, printCall(withOtherWords(call, replace)), { synced: false })
  }
  removeTree(from)
}

function textsOf({ env, stdin, answer }: RecordedCall): string[] {
  return [...Object.values(env), stdin, answer?.stdout ?? "", answer?.stderr ?? ""]
}

function documentsIn({ stdin, answer }: RecordedCall): Json[] {
  return [stdin, answer?.stdout ?? ""].flatMap((text) => documentIn(text) ?? [])
}

function withOtherWords(call: RecordedCall, replace: (text: string) => string): RecordedCall {
  const env = Object.entries(call.env).map(([name, value]) => [name, KEPT.test(name) ? replace(value) : "removed"])
  const { answer } = call
  return {
    ...call,
    env: Object.fromEntries(env),
    stdin: inDocument(call.stdin, replace),
    ...(answer && { answer: withOtherAnswer(answer, replace) }),
  }
}

function withOtherAnswer(answer: Answer, replace: (text: string) => string): Answer {
  return { ...answer, stdout: inDocument(answer.stdout, replace), stderr: replace(answer.stderr) }
}

/** Replaces words within the strings of a document that are no keys, and leaves all else as it was written; or in a text that is none. */
function inDocument(text: string, replace: (text: string) => string): string {
  if (documentIn(text) === undefined) return replace(text)
  return text.replace(STRING, (written, colon: string | undefined) => {
    if (colon !== undefined) return written
    const before: string = JSON.parse(written)
    const after = replace(before)
    return after === before ? written : JSON.stringify(after)
  })
}
