import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = resolve(fileURLToPath(import.meta.url), "../../..")

/** Returns the blocks of code below a heading of a page, in their order: those of a language, or those of none, which are commands. */
export function blocksOf(page: string, heading: string, language = ""): string[] {
  const blocks: string[] = []
  let isBelow = false
  let block: { readonly indent: string; readonly language: string; text: string } | undefined
  for (const line of readFileSync(join(ROOT, page), "utf8").split("\n")) {
    const [, indent = "", name = ""] = /^( *)```(\w*)/.exec(line) ?? []
    const isFence = line.startsWith(`${indent}\`\`\``)
    if (isFence && block) {
      if (isBelow && block.language === language) blocks.push(block.text)
      block = undefined
    } else if (isFence) block = { indent, language: name, text: "" }
    else if (block) block.text += `${line.slice(block.indent.length)}\n`
    else if (/^#+ /.test(line)) isBelow = line.replace(/^#+ /, "") === heading
  }
  if (blocks.length === 0) throw new Error(`${page} has no such block of code below "${heading}"`)
  return blocks
}
