import type { Step } from "./story.ts"
import type { Words } from "./told.ts"

/** The most columns of a line. */
const WIDTH = 100
const INDENT = "    "

/** Returns the lines of a shell script that does what the steps do; a step without commands is a comment. */
export function scriptOf(steps: readonly Step[], netns: string): string[] {
  return steps.flatMap(({ inPod, commands, untold }) =>
    untold === undefined
      ? commands.map((words) => commandLine(inPod ? insidePod(words, netns) : words))
      : [`# not told: ${untold}`],
  )
}

/** Returns what `ip netns` calls the namespace at that path; the path itself if it has no name. */
export function netnsName(path: string): string {
  return /^\/(?:var\/)?run\/netns\/([^/]+)$/.exec(path)?.[1] ?? path
}

function insidePod(words: Words, netns: string): Words {
  const [program = "", ...rest] = words
  if (netns.includes("/")) return ["nsenter", `--net=${netns}`, ...words]
  if (["ip", "tc", "bridge"].includes(program)) return [program, "-n", netns, ...rest]
  return ["ip", "netns", "exec", netns, ...words]
}

function commandLine(words: Words): string {
  return words.map(quoted).join(" ")
}

/** Returns the word as a shell reads it; `>` leads to a file. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) || word === ">" ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** Breaks a command's line so that a shell reads it as one, or a comment's into several; each fits. */
export function wrapped(line: string): string {
  const isComment = line.startsWith("#")
  const [end, start] = isComment ? ["", "#   "] : [" \\", INDENT]
  const lines: string[] = []
  let current = ""
  for (const word of isComment ? line.split(" ") : (line.match(/(?:'[^']*'|\\.|[^\s'\\])+/g) ?? [])) {
    const longer = current === "" ? word : `${current} ${word}`
    if (longer.length + end.length <= WIDTH || current === "") current = longer
    else {
      lines.push(current + end)
      current = start + word
    }
  }
  return [...lines, current].map((each) => broken(each, isComment)).join("\n")
}

/** Breaks a quoted word that is longer than a line: the shell joins what stands on both sides. */
function broken(line: string, isComment: boolean): string {
  if (isComment || line.length <= WIDTH || !line.includes("'")) return line
  const at = line.lastIndexOf(" ", WIDTH - 3)
  const [head, tail] = [line.slice(0, at), line.slice(at)]
  const isInside = head.split("'").length % 2 === 0
  return isInside ? `${head}'\\\n${broken(`'${tail}`, false)}` : line
}
