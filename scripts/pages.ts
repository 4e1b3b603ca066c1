import { existsSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { type Breach, lineAt, ROOT, report, repositoryFiles } from "./repository.ts"
import { wrongTestNames } from "./test-names.ts"

/** The parts of a plugin's page, in the order in which a reader wants them. */
export const PARTS = ["What it does", "Example", "Keys", "What it refuses", "How it differs from the Go plugin"]

/** A part that may follow: reports of the Go plugin's users that still stand, each with what happens here. */
const REPORTS = "Reports"

/** Returns the text of a file of the repository, "" for a folder or a glob that matches something, undefined for what is not there. */
export type Read = (path: string) => string | undefined

interface Found {
  readonly offset: number
  readonly rule: string
}

/** Returns what is wrong with the page `file` that says `text`: links, paths, quotes, test names, a plugin's parts. */
export function breachesOf(file: string, text: string, read: Read): Breach[] {
  const found = [
    ...brokenLinks(file, text, read),
    ...missingPaths(file, text, read),
    ...wrongQuotes(file, text, read),
    ...wrongParts(file, text),
    ...wrongTestNames(file, text, read),
  ]
  return found.map(({ offset, rule }) => ({ file, line: lineAt(text, offset), rule }))
}

/** Links of Markdown, and those that HTML has: images whose width is given, or which have a dark twin. */
const LINK = /\]\(([^()\s]+)\)|\b(?:src|srcset|href)="([^"]+)"/g

function* brokenLinks(file: string, text: string, read: Read): Generator<Found> {
  for (const { 1: inMarkdown, 2: inHtml, index } of withoutCode(text).matchAll(LINK)) {
    const link = inMarkdown ?? inHtml ?? ""
    if (/^\w+:/.test(link)) continue
    const [path = "", anchor] = link.split("#")
    const target = path === "" ? file : posix.join(posix.dirname(file), path)
    const there = read(target)
    if (there === undefined) yield { offset: index, rule: `links to ${target}, which is not there` }
    else if (anchor !== undefined && !anchorsOf(there).has(anchor))
      yield { offset: index, rule: `links to ${target}#${anchor}, which is no heading there` }
  }
}

/** Returns what GitHub lets a link say behind `#`. */
function anchorsOf(text: string): Set<string> {
  const headings = withoutFences(text).matchAll(/^#+ (.+)$/gm)
  return new Set([...headings].map(([, title = ""]) => anchorOf(title)))
}

function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}_ -]/gu, "")
    .replaceAll(" ", "-")
}

/** A path or glob in backticks, without a placeholder (`NAME`). */
const PATH = /`((?![^`]*\b[A-Z]+\b(?!\.md))[\w.-]+\/[\w./*-]*)`/g

/** Those from the root or from the page's folder; what begins with no folder of the repository's is no path of it. */
function* missingPaths(file: string, text: string, read: Read): Generator<Found> {
  for (const { 1: path = "", index } of withoutFences(text).matchAll(PATH)) {
    const [folder = ""] = path.split("/")
    const isTest = path.endsWith(".test.ts") && !path.includes("*") // wrongTestNames()'s
    if (isTest || read(folder) !== "") continue
    const places = [path, posix.join(posix.dirname(file), path)].map((place) => place.replace(/\/$/, ""))
    if (places.every((place) => read(place) === undefined))
      yield { offset: index, rule: `names ${path}, which is not there` }
  }
}

/** Says if the file, or a folder that it is in, is one that the glob means: `*` is any text without a slash. */
export function matches(file: string, glob: string): boolean {
  const parts = glob.split("*").map((part) => part.replace(/[.+]/g, "\\$&"))
  return new RegExp(`^${parts.join("[^/]*")}(/|$)`).test(file)
}

/** A block of code that names its file behind the language, as a link would. */
const QUOTE = /^```\w+ (\S+)\n([\s\S]*?)^```$/gm

function* wrongQuotes(file: string, text: string, read: Read): Generator<Found> {
  for (const { 1: path = "", 2: quote = "", index } of text.matchAll(QUOTE)) {
    const source = posix.join(posix.dirname(file), path)
    const there = read(source)
    if (there === undefined) yield { offset: index, rule: `quotes ${source}, which is not there` }
    else if (!withoutIndents(`\n${there}`).includes(withoutIndents(`\n${quote}`)))
      yield { offset: index, rule: `quotes ${source}, which does not say that` }
  }
}

function withoutIndents(text: string): string {
  return text.replace(/^[ \t]+/gm, "")
}

function* wrongParts(file: string, text: string): Generator<Found> {
  if (!/^(plugins\/[^/]+|ipam\/[^/]+|docs\/example-plugin)\/README\.md$/.test(file)) return
  const parts = [...withoutFences(text).matchAll(/^## (.+)$/gm)]
  const wrong = parts.findIndex(([, title], at) => title !== [...PARTS, REPORTS][at])
  if (wrong < 0 && parts.length >= PARTS.length) return
  const offset = parts[wrong]?.index ?? text.length - 1
  yield { offset, rule: `a plugin's page has these parts in this order: ${PARTS.join(", ")}` }
}

/** Blanks the blocks of code, so that every other character stays in its place. */
function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, blank)
}

function withoutCode(text: string): string {
  return withoutFences(text).replace(/`[^`\n]*`/g, blank)
}

function blank(code: string): string {
  return code.replace(/[^\n]/g, " ")
}

function main(): void {
  const files = repositoryFiles()
  const known = new Set(files)
  const read = (path: string) => {
    if (known.has(path)) return readFileSync(join(ROOT, path), "utf8")
    if (path.includes("*")) return files.some((file) => matches(file, path)) ? "" : undefined
    return files.some((file) => file.startsWith(posix.join(path, "/"))) && existsSync(join(ROOT, path)) ? "" : undefined
  }
  const pages = files.filter((file) => file.endsWith(".md"))
  const breaches = pages.flatMap((file) => breachesOf(file, readFileSync(join(ROOT, file), "utf8"), read))
  report(breaches, `pages: ${pages.length} pages name what is there`)
}

// By its name alone, as scripts/arrows.ts.
if (process.argv[1]?.endsWith("/pages.ts")) main()
