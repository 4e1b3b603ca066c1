import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"

/** One place where the repository breaks a rule of its own. */
export interface Breach {
  readonly file: string
  readonly line: number
  readonly rule: string
}

/** From the top: a layer may import itself and those behind it. */
const layers = ["plugins", "ipam", "lib/cni", "lib/net", "lib/netlink", "lib/sys", "lib/ip"]

/** Imported by tests alone, and as free as they are. */
const TESTING = "lib/testing"
const MAX_LINES = 400

/** What `text`, the content of `file`, does that it may not. Paths are those of the repository, with slashes. */
export function breachesOf(file: string, text: string): Breach[] {
  const found: Found[] = []
  if (file.endsWith(".ts")) {
    found.push(...tooLong(text))
    if (isLayered(file)) found.push(...wrongImports(file, text), ...runtimeGlobals(file, text))
  }
  return found.map(({ offset, rule }) => ({ file, line: text.slice(0, offset).split("\n").length, rule }))
}

interface Found {
  readonly offset: number
  readonly rule: string
}

function isLayered(file: string): boolean {
  return /^(plugins|ipam|lib)\//.test(file) && !file.endsWith(".test.ts") && layerOf(file) !== TESTING
}

function layerOf(file: string): string {
  const [first = "", second = ""] = file.split("/")
  return first === "lib" ? `lib/${second}` : first
}

function* wrongImports(file: string, text: string): Generator<Found> {
  for (const { 1: target = "", index } of withoutComments(text).matchAll(
    /\b(?:from|import|require)\s*\(?\s*"([^"]+)"/g,
  )) {
    const rule = target.startsWith(".")
      ? ruleAgainst(file, posix.join(posix.dirname(file), target))
      : ruleAgainstPackage(file, target)
    if (rule) yield { offset: index, rule }
  }
}

function ruleAgainst(file: string, target: string): string | undefined {
  const [from, to] = [layerOf(file), layerOf(target)]
  if (to === TESTING || target.endsWith(".test.ts")) return `${file} is no test and imports ${target}`
  if (!layers.includes(to)) return `${from} imports ${target}, which is no layer below it`
  if (from === "plugins" && to === "ipam" && isRoot(file)) return undefined
  const sides = [from, to].filter((layer) => layer === "plugins" || layer === "ipam")
  if (sides.length === 2 && from !== to) return `${from} imports ${to}: neither is below the other`
  if (layers.indexOf(to) < layers.indexOf(from)) return `${from} imports ${to}, which is above it`
  const stays = from !== to || from.startsWith("lib/") || isRoot(file) || folderOf(file) === folderOf(target)
  return stays ? undefined : `${folderOf(file)} imports ${target}: plugins do not import each other`
}

/** `plugins/registry.ts` and its neighbours, which know all plugins. */
function isRoot(file: string): boolean {
  return file.split("/").length === 2
}

function folderOf(file: string): string {
  return file.split("/").slice(0, 2).join("/")
}

function ruleAgainstPackage(file: string, target: string): string | undefined {
  if (target.startsWith("bun:") && layerOf(file) === "lib/sys") return undefined
  if (/^(node|bun):/.test(target))
    return `${layerOf(file)} imports ${target}: only lib/sys touches the system, by bun:*`
  return `${layerOf(file)} imports the package ${target}: the executables have no dependency`
}

function* runtimeGlobals(file: string, text: string): Generator<Found> {
  if (layerOf(file) === "lib/sys") return
  for (const { 1: name, index } of codeOnly(text).matchAll(/(?<![\w$.])(Bun|process)\b(?!\s*:)/g)) {
    yield { offset: index, rule: `${layerOf(file)} uses the global ${name}: only lib/sys does` }
  }
}

function* tooLong(text: string): Generator<Found> {
  const lines = text.split("\n").length - 1
  if (lines > MAX_LINES) yield { offset: text.length - 1, rule: `${lines} lines, more than ${MAX_LINES}` }
}

const TOKENS = /\/\*[\s\S]*?\*\/|\/\/.*|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g

/** The text with its comments blanked, every other character where it was. */
function withoutComments(text: string): string {
  return text.replace(TOKENS, (token) => (token.startsWith("/") ? blank(token) : token))
}

/** Also without what strings say; the expressions inside templates stay. */
function codeOnly(text: string): string {
  return text.replace(TOKENS, (token) => {
    if (!token.startsWith("`")) return blank(token)
    return token.replace(/(\$\{[^}]*\})|[^\n]/g, (_, expression: string | undefined) => expression ?? " ")
  })
}

function blank(token: string): string {
  return token.replace(/[^\n]/g, " ")
}

function main(): void {
  const root = join(import.meta.dirname, "..")
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root })
  const files = listed
    .toString()
    .split("\n")
    .filter((file) => file !== "" && existsSync(join(root, file)))
  const breaches = files.flatMap((file) => breachesOf(file, readFileSync(join(root, file), "utf8")))
  for (const { file, line, rule } of breaches) console.error(`${file}:${line}: ${rule}`)
  if (breaches.length > 0) process.exit(1)
  console.log(`arrows: ${files.length} files keep to the layers`)
}

if (import.meta.main) main()
