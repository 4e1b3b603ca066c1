import { Unusable } from "../command.ts"

/** A call of a plugin, and what it answered: one file of a recording. Those of conformance/fixtures have this form, too. */
export interface RecordedCall {
  readonly plugin: string
  readonly command: string
  /** The time when it began, in UTC. */
  readonly began?: string
  readonly milliseconds?: number
  readonly env: Readonly<Record<string, string>>
  readonly stdin: string
  /** Undefined if the call did not end: it was killed, or the node went down. */
  readonly answer?: Answer
  /** The streams of which there was more than a recording keeps. */
  readonly cut?: readonly string[]
}

/** The end of a plugin: an exit status, or the signal that ended it. */
export interface Answer {
  readonly exitCode?: number
  readonly signal?: string
  readonly stdout: string
  readonly stderr: string
}

/** Returns the file's text. */
export function printCall(call: RecordedCall): string {
  return `${JSON.stringify(call, null, 2)}\n`
}

/** Reads a file of a recording. Throws Unusable if it is none. */
export function readCall(text: string, path: string): RecordedCall {
  const document = parsed(text)
  if (!isObject(document)) throw new Unusable(`${path} is no recorded call`)
  const { plugin, command, env, stdin, answer } = document
  const texts = isFileName(plugin) && [command, stdin].every((value) => typeof value === "string")
  if (!texts || !isTexts(env) || !(answer === undefined || isAnswer(answer)))
    throw new Unusable(`${path} is no recorded call: it lacks plugin, command, env or stdin`)
  return document as unknown as RecordedCall
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Returns true for the name of a plugin: a recording may come from anybody, and no program is to be started that is none. */
function isFileName(value: unknown): boolean {
  return typeof value === "string" && /^[^/\0]+$/.test(value) && !value.startsWith(".")
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string")
}

function isAnswer(value: unknown): boolean {
  return isObject(value) && typeof value["stdout"] === "string" && typeof value["stderr"] === "string"
}
