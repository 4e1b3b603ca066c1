import type { Namespace } from "./namespace.ts"
import { output, run } from "./run.ts"

/** The whole ruleset as `nft` writes it, counters and handles left out. */
export function ruleset(namespace: Namespace): string {
  return output(namespace.inside(["nft", "-s", "list", "ruleset"]))
}

/** The rules of a chain, each as one line of `nft`'s language; none where chain or table is missing. */
export function rules(namespace: Namespace, table: string, chain: string): string[] {
  const argv = ["nft", "-s", "list", "chain", ...table.split(" "), chain]
  const lines = run(namespace.inside(argv)).stdout.split("\n").slice(2, -3)
  return lines.map((line) => line.trim()).filter((line) => !/^(comment "|type \w+ hook )/.test(line))
}

/** Runs `nft -f` on these lines. */
export function nft(namespace: Namespace, ...lines: string[]): void {
  output(namespace.inside(["nft", "-f", "-"]), { stdin: `${lines.join("\n")}\n` })
}

/**
 * Counts packets as they arrive in a namespace, before anything is done with them: `watch(pod, "ip saddr 10.0.0.1")` gives a function that
 * reads the counters.
 */
export function watch(namespace: Namespace, ...matches: string[]): () => number[] {
  const counters = matches.map((match) => `add rule inet watch arriving ${match} counter`)
  const chain = "add chain inet watch arriving { type filter hook prerouting priority -400; }"
  nft(namespace, "add table inet watch", "flush table inet watch", chain, ...counters)
  return () => {
    const text = output(namespace.inside(["nft", "list", "chain", "inet", "watch", "arriving"]))
    return [...text.matchAll(/counter packets (\d+)/g)].map(([, count]) => Number(count))
  }
}
