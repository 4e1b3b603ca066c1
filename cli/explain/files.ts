import {
  listDirectory,
  makeDirectories,
  readRegular,
  setMode,
  setModified,
  unlessMissing,
  writeNew,
} from "../../lib/sys/file.ts"
import { linkStatus, S_IFDIR } from "../../lib/sys/file-status.ts"
import type { Words } from "./told.ts"

/** A directory in which plugins keep files, and the copy that they use in its place. */
export interface CopiedDirectory {
  readonly path: string
  readonly copy: string
}

/** Copies what is in the directory, with the times and permissions of files; nothing if it is missing. */
export function copyTree(path: string, copy: string): void {
  makeDirectories(copy, 0o755)
  for (const name of namesIn(path)) {
    const [from, to] = [`${path}/${name}`, `${copy}/${name}`]
    const { type, permissions, modified } = linkStatus(from)
    if (type === S_IFDIR) copyTree(from, to)
    const text = type === S_IFDIR ? undefined : readRegular(from, LONGEST)
    if (text === undefined) continue
    writeNew(to, text, { synced: false })
    setMode(to, permissions)
    setModified(to, modified)
  }
}

function namesIn(path: string): string[] {
  return (unlessMissing(() => listDirectory(path)) ?? []).sort()
}

/** The index beside the leases, which may be deleted at any time, and the lock are nothing that anybody has to make. */
const PRIVATE = new Set([".cni-ts", "lock"])
const LONGEST = 1 << 16

export type Texts = ReadonlyMap<string, string>

/** Returns the texts of the files of the copy, by their paths below it. */
export function readTexts({ copy }: CopiedDirectory, below = ""): Texts {
  const texts = new Map<string, string>()
  for (const name of namesIn(`${copy}${below}`)) {
    const path = `${below}/${name}`
    if (PRIVATE.has(name)) continue
    if (linkStatus(`${copy}${path}`).type === S_IFDIR)
      for (const entry of readTexts({ path: "", copy }, path)) texts.set(...entry)
    else texts.set(path, readRegular(`${copy}${path}`, LONGEST) ?? "")
  }
  return texts
}

/** Returns the commands that do with the directory what was done with its copy. */
export function fileCommands({ path, copy }: CopiedDirectory, before: Texts): Words[] {
  const after = readTexts({ path, copy })
  const written = [...after].filter(([name, text]) => before.get(name) !== text)
  const directories = new Set(written.map(([name]) => `${path}${name.slice(0, name.lastIndexOf("/"))}`))
  const missing = [...directories].filter((directory) => unlessMissing(() => linkStatus(directory)) === undefined)
  return [
    ...missing.map((directory) => ["mkdir", "-p", directory]),
    ...written.map(([name, text]) => ["printf", escaped(text), ">", `${path}${name}`]),
    ...[...before.keys()].filter((name) => !after.has(name)).map((name) => ["rm", `${path}${name}`]),
  ]
}

/** Returns the text as the format that printf(1) prints it from. */
function escaped(text: string): string {
  return text
    .replace(/[\\%]/g, (letter) => letter + letter)
    .replaceAll("\r", "\\r")
    .replaceAll("\n", "\\n")
}
