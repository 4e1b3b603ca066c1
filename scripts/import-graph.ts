import { posix } from "node:path"
import { type Breach, lineAt } from "./repository.ts"
import { importsIn } from "./source.ts"

/** Each file's imports of other files: where each stands, by the file that it names. */
export type ImportGraph = ReadonlyMap<string, ReadonlyMap<string, number>>

/** Returns the graph of the files whose content `texts` holds, by path. Paths are those of the repository, with slashes. */
export function importGraph(texts: ReadonlyMap<string, string>): ImportGraph {
  return new Map([...texts].map(([file, text]) => [file, new Map(targetsIn(file, text))]))
}

function targetsIn(file: string, text: string): [string, number][] {
  const relative = importsIn(text).filter(({ target }) => target.startsWith("."))
  return relative.map(({ target, offset }) => [posix.join(posix.dirname(file), target), lineAt(text, offset)])
}

/** Returns a breach for each import that leads back to its own file. */
export function cyclesIn(graph: ImportGraph): Breach[] {
  const cycles: Breach[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    if (done.has(file)) return
    path.push(file)
    for (const [target, line] of graph.get(file) ?? []) {
      const start = path.indexOf(target)
      if (start < 0) visit(target)
      else cycles.push({ file, line, rule: `imports in a circle: ${[...path.slice(start), target].join(" -> ")}` })
    }
    path.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
  return cycles
}

/** Returns all files that one of `files` imports, directly or not, and these themselves. */
export function reachedFrom(graph: ImportGraph, files: readonly string[]): ReadonlySet<string> {
  const reached = new Set<string>(files)
  for (const file of reached) for (const target of graph.get(file)?.keys() ?? []) reached.add(target)
  return reached
}
