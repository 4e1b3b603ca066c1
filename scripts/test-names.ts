import { posix } from "node:path"

interface Found {
  readonly offset: number
  readonly rule: string
}

type Read = (path: string) => string | undefined

/** The page whose quotes are all names of tests. */
const LISTS_TESTS = "conformance/README.md"

/**
 * Finds files of tests that are not there, and on `conformance/README.md` names that no test has. A name is in double quotes and belongs to
 * the file named last in its row or paragraph, or to the file that the section's line "Tests are in ..." names; `…` stands for any text.
 * What stands in another column of a table than the last one is no name.
 */
export function* wrongTestNames(file: string, text: string, read: Read): Generator<Found> {
  for (const section of piecesOf(text, /^## /gm)) {
    const homes = homesOf(section.text)
    for (const paragraph of piecesOf(section.text, /^(?=\|)|^$/gm))
      yield* wrongIn(file, { offset: section.offset + paragraph.offset, text: paragraph.text }, homes, read)
  }
}

interface Piece {
  readonly offset: number
  readonly text: string
}

function piecesOf(text: string, starts: RegExp): Piece[] {
  const offsets = [0, ...[...text.matchAll(starts)].map(({ index }) => index)]
  return offsets.map((offset, at) => ({ offset, text: text.slice(offset, offsets[at + 1]) }))
}

/** Returns the folders and files after "Tests are in". */
function homesOf(section: string): string[] {
  const [, line = ""] = /^(Tests .*)$/m.exec(section) ?? []
  return [...line.matchAll(/`([^`]+)`/g)].map(([, home = ""]) => home)
}

const NAMES = /`((?:[\w.*-]+\/)*[\w.*-]+\.test\.ts)`|"([^"]+)"/g

function* wrongIn(file: string, { offset, text }: Piece, homes: string[], read: Read): Generator<Found> {
  let sources = homes.filter((home) => home.endsWith(".test.ts")).flatMap((home) => filesNamed(home, file, [], read))
  const lastCell = text.startsWith("|") ? text.trimEnd().replace(/\|$/, "").lastIndexOf("|") : 0
  for (const { 1: path, 2: name, index } of text.matchAll(NAMES)) {
    if (index < lastCell) continue
    const at = offset + index
    if (path !== undefined) {
      if (!isChecked(path, file)) continue
      sources = filesNamed(path, file, homes, read)
      if (sources.length === 0) yield { offset: at, rule: `names ${path}, which is not there` }
    } else if (name !== undefined && file === LISTS_TESTS) {
      const quoted = name.replace(/\s+/g, " ")
      if (!sources.some((source) => hasName(source, quoted))) yield { offset: at, rule: `no test is named "${quoted}"` }
    }
  }
}

/** Elsewhere a name without a folder may be an example. */
function isChecked(path: string, page: string): boolean {
  return !path.includes("*") && (page.startsWith("conformance/") || path.includes("/"))
}

/** Returns the text of each file that `path` may mean: from the root, beside the page, in the section's folders. */
function filesNamed(path: string, page: string, homes: readonly string[], read: Read): string[] {
  const beside = posix.dirname(page)
  const folders = [
    "",
    beside,
    ...homes.filter((home) => home.endsWith("/")).flatMap((home) => [home, posix.join(beside, home)]),
  ]
  return folders.flatMap((folder) => read(posix.join(folder, path)) ?? [])
}

/** A string, and what makes it a title: `test(`, `describe.each(...)(` before it. */
const STRINGS =
  /((?:\b(?:test|describe)(?:\.\w+)?|\))\(\s*)?(?:"((?:\\.|[^"\\\n])*)"|'((?:\\.|[^'\\\n])*)'|`((?:\\.|[^`\\])*)`)/g

/**
 * Returns whether one title in the source has the name's words, with any text in the place of each `…`. A name of several words may also
 * be in another string: tables of cases name their rows.
 */
function hasName(source: string, name: string): boolean {
  const parts = name.split("…").map((part) => part.trim())
  return [...source.matchAll(STRINGS)].some(([, isTitle, double, single, template]) => {
    if (isTitle === undefined && !name.includes(" ")) return false
    const string = (double ?? single ?? template ?? "").replace(/\\(.)/g, "$1")
    let from = 0
    return parts.every((part) => {
      const at = string.indexOf(part, from)
      from = at + part.length
      return at >= 0
    })
  })
}
