import { readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { cyclesIn, type ImportGraph, importGraph, reachedFrom } from "./import-graph.ts"
import { type Breach, lineAt, ROOT, report, repositoryFiles } from "./repository.ts"
import { codeOnly, importsIn } from "./source.ts"

/** From the top: a layer may import itself and those behind it. */
const layers = ["cli", "plugins", "ipam", "lib/attachment", "lib/cni", "lib/net", "lib/netlink", "lib/ip", "lib/sys"]

/** Files that lib/cni may import: the protocol touches no kernel, but knows the errors of the layers below, Undo, and the netlink log. */
const KNOWN_TO_CNI = ["lib/net/conflict.ts", "lib/net/undo.ts", "lib/netlink/kernel-error.ts", "lib/netlink/trace.ts"]

/** Answers the process' one call: only what starts the process may ask for that. */
const RUN = "lib/cni/run.ts"

/** The layers whose files serve several plugins. */
const SHARED = ["lib/attachment", "lib/net"]

/** On nobody's path in production: what tests alone import, and the host under Node.js. Both are free. */
const BESIDE = ["lib/testing", "lib/sys/node"]
/** Kept to the rules for plugins, so that it can be copied among them. */
const EXAMPLE = "docs/example-plugin"
const MAX_LINES = 400

/** The one module that may look for what the program beneath has made. */
const SEAM = "lib/sys/host.ts"

/** Returns what `text`, the content of `file`, does that it may not. Paths are those of the repository, with slashes. */
export function breachesOf(file: string, text: string): Breach[] {
  const found: Found[] = []
  if (file.endsWith(".ts")) {
    found.push(...tooLong(text))
    if (isProduct(file)) found.push(...wrongImports(file, text), ...foreignGlobals(file, text))
  }
  return found.map(({ offset, rule }) => ({ file, line: lineAt(text, offset), rule }))
}

interface Found {
  readonly offset: number
  readonly rule: string
}

/** Says if the file may become part of the executables. */
function isProduct(file: string): boolean {
  return (/^(cli|plugins|ipam|lib)\//.test(file) || isExample(file)) && !file.endsWith(".test.ts") && !isBeside(file)
}

function isBeside(file: string): boolean {
  return BESIDE.some((folder) => file.startsWith(`${folder}/`))
}

function isExample(file: string): boolean {
  return folderOf(file) === EXAMPLE
}

function layerOf(file: string): string {
  if (isExample(file)) return "plugins"
  const [first = "", second = ""] = file.split("/")
  return first === "lib" ? `lib/${second}` : first
}

function* wrongImports(file: string, text: string): Generator<Found> {
  for (const { target, offset } of importsIn(text)) {
    const rule = target.startsWith(".")
      ? ruleAgainst(file, posix.join(posix.dirname(file), target))
      : `${layerOf(file)} imports ${target}: the executables hold nothing but this repository's files`
    if (rule) yield { offset, rule }
  }
}

function ruleAgainst(file: string, target: string): string | undefined {
  const [from, to] = [layerOf(file), layerOf(target)]
  if (isBeside(target) || target.endsWith(".test.ts")) return `${file} is no test and imports ${target}`
  if (isExample(target) && !isExample(file)) return `${file} imports ${target}, which is an example and not shipped`
  if (!layers.includes(to)) return `${from} imports ${target}, which is no layer below it`
  if (from === "plugins" && to === "ipam" && isRoot(file)) return undefined
  const sides = [from, to].filter((layer) => layer === "plugins" || layer === "ipam")
  if (sides.length === 2 && from !== to) return `${from} imports ${to}: neither is below the other`
  if (layers.indexOf(to) < layers.indexOf(from)) return `${from} imports ${to}, which is above it`
  if (from === "lib/cni" && ["lib/net", "lib/netlink"].includes(to) && !KNOWN_TO_CNI.includes(target)) {
    return `lib/cni imports ${target}: the protocol touches no kernel`
  }
  if (target === RUN && !isRoot(file)) return `${file} imports ${RUN}: only plugins/main.ts runs a plugin`
  const stays =
    from !== to || from === "cli" || from.startsWith("lib/") || isRoot(file) || folderOf(file) === folderOf(target)
  return stays ? undefined : `${folderOf(file)} imports ${target}: plugins do not import each other`
}

/** Says if the file is `plugins/registry.ts` or a neighbour, which know all plugins. */
function isRoot(file: string): boolean {
  return file.split("/").length === 2
}

function folderOf(file: string): string {
  return file.split("/").slice(0, 2).join("/")
}

/**
 * Returns what files do together that they may not: import each other in a circle, types included, or hold in a shared layer what one plugin
 * alone needs, directly or by files that nobody else needs.
 */
export function breachesAmong(texts: ReadonlyMap<string, string>): Breach[] {
  const graph = importGraph(new Map([...texts].filter(([file]) => isProduct(file))))
  return [...cyclesIn(graph), ...unshared(graph)]
}

function unshared(graph: ImportGraph): Breach[] {
  const users = new Map<string, Set<string>>()
  const inPlugins = [...graph.keys()].filter((file) => /^(plugins|ipam)\//.test(file) && !isRoot(file))
  for (const plugin of new Set(inPlugins.map(folderOf))) {
    const own = inPlugins.filter((file) => folderOf(file) === plugin)
    for (const file of reachedFrom(graph, own)) users.set(file, (users.get(file) ?? new Set()).add(plugin))
  }
  const alone = [...users].filter(([file, { size }]) => SHARED.includes(layerOf(file)) && size === 1)
  return alone.map(([file, [plugin]]) => ({ file, line: 1, rule: `${plugin} alone needs it: it belongs there` }))
}

/** What is not ECMAScript's, and what ECMAScript leaves to chance. A program's name for it would mislead, too. */
const FOREIGN =
  /(?<![\w$.])(?:Buffer|TextDecoder|TextEncoder|console|globalThis|performance|process|queueMicrotask|set(?:Immediate|Interval|Timeout)|Math\.random)\b(?!\s*:)/g

function* foreignGlobals(file: string, text: string): Generator<Found> {
  for (const { 0: name, index } of codeOnly(text).matchAll(FOREIGN)) {
    if (file === SEAM && name === "globalThis") continue
    yield { offset: index, rule: `${layerOf(file)} uses the global ${name}: ask ${SEAM}` }
  }
}

function* tooLong(text: string): Generator<Found> {
  const lines = text.split("\n").length - 1
  if (lines > MAX_LINES) yield { offset: text.length - 1, rule: `${lines} lines, more than ${MAX_LINES}` }
}

function main(): void {
  const files = repositoryFiles()
  const code = files.filter((file) => file.endsWith(".ts"))
  const texts = new Map(code.map((file) => [file, readFileSync(join(ROOT, file), "utf8")]))
  const breaches = [...texts].flatMap(([file, text]) => breachesOf(file, text))
  report([...breaches, ...breachesAmong(texts)], `arrows: ${files.length} files keep to the layers`)
}

// By its name alone: reached through a symbolic link, its path would differ, and nothing would be checked.
if (process.argv[1]?.endsWith("/arrows.ts")) main()
