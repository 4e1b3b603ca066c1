import { type Options, Unusable } from "./command.ts"

/** Returns the output format that `-o` asks for. Throws Unusable if there is no such format. */
export function formatFrom(options: Options): "text" | "json" {
  const format = options.get("-o")
  if (format === undefined) return "text"
  if (format !== "json") throw new Unusable(`there is no output format ${JSON.stringify(format)}, only json`)
  return format
}
