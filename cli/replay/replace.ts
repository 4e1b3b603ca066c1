/** Replaces whole words of a text, all at once, so that no word is replaced twice. */
export function replaceWords(text: string, words: ReadonlyMap<string, string>): string {
  const wanted = [...words.keys()].filter((word) => word !== "").sort((a, b) => b.length - a.length)
  if (wanted.length === 0) return text
  const pattern = wanted.map((word) => word.replace(/[^\w/]/g, "\\$&")).join("|")
  // An address is none within a longer one: 10.1.1.2 in 10.1.1.23, or in 1.10.1.1.2.
  return text.replace(
    new RegExp(`(?<![\\w:.-])(?:${pattern})(?![\\w:-]|\\.\\w)`, "g"),
    (word) => words.get(word) ?? word,
  )
}
