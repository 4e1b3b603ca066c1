import type { Host } from "../host.ts"

const HTML = /[<>&\u2028\u2029]/g

/** JSON as Go reads and prints it. */
export const json = {
  isPlainJson: (json) => !/\d[.eE]|\d{16}/.test(withoutStrings(json)) && !/(?<!\\)(?:\\\\)*\\u/.test(json),
  member(object, name) {
    const own = new Map<string, unknown>(Object.entries(object).filter(([, value]) => value !== null))
    const named = [...own.keys()].filter((key) => key.toLowerCase() === name.toLowerCase())
    return own.get(name) ?? own.get(named.at(-1) ?? name)
  },
  printJson: (value) =>
    JSON.stringify(value, null, 4).replace(HTML, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`),
} satisfies Partial<Host>

/** Returns a JSON text with its strings emptied. */
function withoutStrings(json: string): string {
  const outside: string[] = []
  let at = 0
  for (let start = json.indexOf('"'); start >= 0; start = json.indexOf('"', at)) {
    outside.push(json.slice(at, start))
    at = endOfString(json, start + 1)
  }
  return [...outside, json.slice(at)].join('""')
}

function endOfString(json: string, start: number): number {
  for (let at = start; at < json.length; at++) {
    if (json[at] === "\\") at++
    else if (json[at] === '"') return at + 1
  }
  return json.length
}
