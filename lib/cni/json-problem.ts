/**
 * Returns what is wrong with a text that is no JSON document, at which line and character, counted from 1; undefined if nothing is. Engines
 * say it in words of their own, seldom with the place.
 */
export function jsonProblem(text: string): string | undefined {
  return new Search(text).problem()
}

const SPACE = " \t\n\r"
const LITERAL_OR_NUMBER = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const MAX_SHOWN = 20

class Search {
  readonly #text: string
  #at = 0
  /** The ends of the lists and objects around the place, the innermost last. */
  readonly #ends: ("]" | "}")[] = []
  /** The kind of token that has to come next; undefined behind a value. */
  #due: "value" | "key" | undefined = "value"

  constructor(text: string) {
    this.#text = text
  }

  problem(): string | undefined {
    while (this.#due || this.#ends.length > 0) {
      const problem = this.#step()
      if (problem) return problem
    }
    return this.#next() === undefined ? undefined : this.#unexpected("the document has ended before")
  }

  #step(): string | undefined {
    const due = this.#due
    this.#due = undefined
    if (due === "value") return this.#value()
    return due === "key" ? this.#key() : this.#behindValue()
  }

  /** Reads a value, of a list or object only the beginning. */
  #value(): string | undefined {
    const char = this.#next()
    if (char === '"') return this.#string()
    if (char === "[" || char === "{") return this.#open(char)
    return this.#skip(LITERAL_OR_NUMBER) ? undefined : this.#unexpected("a value is due")
  }

  #open(char: "[" | "{"): undefined {
    this.#at++
    const end = char === "[" ? "]" : "}"
    if (this.#take(end)) return
    this.#ends.push(end)
    this.#due = end === "}" ? "key" : "value"
  }

  #behindValue(): string | undefined {
    const end = this.#ends.at(-1) ?? "]"
    if (this.#take(end)) this.#ends.pop()
    else if (this.#take(",")) this.#due = end === "}" ? "key" : "value"
    else return this.#unexpected(`a comma or ${end} is due`)
    return undefined
  }

  #key(): string | undefined {
    if (this.#next() !== '"') return this.#unexpected('a key in " is due')
    const problem = this.#string()
    if (problem) return problem
    this.#due = "value"
    return this.#take(":") ? undefined : this.#unexpected("a colon is due")
  }

  #string(): string | undefined {
    for (this.#at++; this.#at < this.#text.length; ) {
      const char = this.#text[this.#at] ?? ""
      if (char === "\\") {
        if (!this.#skip(ESCAPE)) return this.#unexpected("no escape that JSON knows begins so")
      } else {
        if (char < " ") return this.#unexpected("a string may not hold it as it is")
        this.#at++
        if (char === '"') return undefined
      }
    }
    return this.#unexpected('a string lacks its "')
  }

  /** Skips white space and returns the character behind it. */
  #next(): string | undefined {
    while (SPACE.includes(this.#text[this.#at] ?? ".")) this.#at++
    return this.#text[this.#at]
  }

  #take(char: string): boolean {
    if (this.#next() !== char) return false
    this.#at++
    return true
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    if (!pattern.test(this.#text)) return false
    this.#at = pattern.lastIndex
    return true
  }

  #unexpected(why: string): string {
    const where = this.#where()
    const rest = this.#text.slice(this.#at, this.#at + 64)
    if (rest === "") return `unexpected end at ${where}: ${why}`
    const [word = ""] = /^(?:[\w.+-]+|.)/su.exec(rest) ?? []
    return `unexpected ${JSON.stringify(word.slice(0, MAX_SHOWN))} at ${where}: ${why}`
  }

  #where(): string {
    let [line, character] = [1, 1]
    for (const char of this.#text.slice(0, this.#at)) {
      character++
      if (char === "\n") [line, character] = [line + 1, 1]
    }
    return `line ${line}, character ${character}`
  }
}
