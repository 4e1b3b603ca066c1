import type { Dns } from "../../lib/cni/result.ts"

/** Parses a resolv.conf by the Go plugin's rules: repeated lines add up, and only whole lines are comments. */
export function parseResolvConf(text: string): Dns {
  const nameservers: string[] = []
  const search: string[] = []
  const options: string[] = []
  let domain = ""
  for (const line of text.split("\n").map((line) => line.trim())) {
    const [keyword, ...values] = line.split(/\s+/)
    const [value] = values
    if (value === undefined || /^[#;]/.test(line)) continue
    if (keyword === "nameserver") nameservers.push(value)
    if (keyword === "domain") domain = value
    if (keyword === "search") search.push(...values)
    if (keyword === "options") options.push(...values)
  }
  return { nameservers, domain, search, options }
}
