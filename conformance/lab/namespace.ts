import { readFileSync } from "node:fs"
import { type Finished, output, run } from "./run.ts"

/** A link, address or route as `ip -j` and `bridge -j` print it: the keys tests look at. */
export interface Described {
  readonly [key: string]: unknown
  readonly ifindex?: number
  readonly ifname?: string
  readonly link_index?: number
  readonly mtu?: number
  readonly flags?: readonly string[]
  readonly operstate?: string
  readonly address?: string
  readonly master?: string
  readonly promiscuity?: number
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_data?: Readonly<Record<string, unknown>>
    readonly info_slave_kind?: string
    readonly info_slave_data?: Readonly<Record<string, unknown>>
  }
  readonly addr_info?: readonly Address[]
  readonly dst?: string
  readonly gateway?: string
  readonly dev?: string
  readonly prefsrc?: string
  readonly protocol?: string
  readonly scope?: string
  readonly metric?: number
}

export interface Address {
  readonly [key: string]: unknown
  readonly family: string
  readonly local: string
  readonly prefixlen: number
  readonly scope: string
  readonly tentative?: boolean
}

/**
 * A look into a network namespace, whoever made it. The methods look through the machine's own tools, so that
 * what a plugin did is never judged by the plugin's code.
 */
export class View {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** The argument vector that runs `argv` here; unlike `ip netns exec` it leaves the mounts alone. */
  inside(argv: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, "--", ...argv]
  }

  /** Runs a program here, with this process's environment. */
  run(...argv: string[]): Finished {
    return run(this.inside(argv))
  }

  /** `ip -j ARGS` here, parsed: `node.ip("-d", "link", "show", "cni0")`. */
  ip(...args: string[]): Described[] {
    return parseList(output(this.inside(["ip", "-j", ...args])))
  }

  /** `bridge -d -j ARGS` here, parsed. */
  bridge(...args: string[]): Described[] {
    return parseList(output(this.inside(["bridge", "-d", "-j", ...args])))
  }

  /** The link of that name, in detail; undefined if there is none. */
  link(name: string): Described | undefined {
    return this.ip("-d", "link", "show").find((link) => link.ifname === name)
  }

  /** The addresses of a link as `10.244.1.2/24`, IPv6 link-local ones left out. */
  addresses(name: string): string[] {
    const link = this.ip("addr", "show").find((candidate) => candidate.ifname === name)
    const global = link?.addr_info?.filter((address) => !address.local.startsWith("fe80:"))
    return global?.map((address) => `${address.local}/${address.prefixlen}`) ?? []
  }

  /** Returns if one echo request is answered within two seconds. */
  pings(address: string): boolean {
    return this.run("ping", "-n", "-q", "-c", "1", "-W", "2", address).exitCode === 0
  }

  /** As pings(), of several addresses at once, as each that does not answer is waited for; each is asked again until it does. */
  reaches(addresses: readonly string[]): boolean[] {
    const { stdout } = this.run("sh", "-c", PING_ALL, ...addresses)
    return addresses.map((_, index) => stdout.includes(`[${index}]`))
  }

  /** A value below /proc/sys, read or written: `sysctl("net/ipv4/ip_forward", "0")`. */
  sysctl(name: string, value?: string): string {
    const file = `/proc/sys/${name}`
    if (value !== undefined) output(this.inside(["tee", file]), { stdin: value })
    return output(this.inside(["cat", file])).trim()
  }
}

/** Prints the numbers of those that answer; the first address is the shell's $0. */
const PING_ALL = `
number=0
for address in "$0" "$@"; do
  (ping -n -q -c 1 -w 2 -i 0.5 "$address" >/dev/null && echo "[$number]") &
  number=$((number + 1))
done
wait`

/** A named network namespace that lives until it is disposed. */
export class Namespace extends View {
  readonly name: string

  constructor(name: string) {
    output(["ip", "netns", "add", name])
    super(`/run/netns/${name}`)
    this.name = name
  }

  /** Process ids running here. */
  processes(): number[] {
    const pids = output(["ip", "netns", "pids", this.name]).split("\n").filter(Boolean).map(Number)
    return pids.filter((pid) => !isEnding(pid))
  }

  [Symbol.dispose](): void {
    output(["ip", "netns", "del", this.name])
  }
}

const [SIGKILL_PENDING, PF_EXITING] = [0x100n, 0x4]

/** Returns if a process has ended, or was killed and only has not had a processor since. */
function isEnding(pid: number): boolean {
  try {
    const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, "utf8")
    const pending = [...read("status").matchAll(/^(?:Sig|Shd)Pnd:\s*(\w+)$/gm)].map(([, mask]) => BigInt(`0x${mask}`))
    const [, , , , , , flags] = read("stat")
      .replace(/^.*\) /s, "")
      .split(" ")
    return pending.some((mask) => (mask & SIGKILL_PENDING) !== 0n) || (Number(flags) & PF_EXITING) !== 0
  } catch {
    return true
  }
}

/** Some versions print nothing for an empty list, and `{}` for an entry that was filtered out. */
function parseList(text: string): Described[] {
  const list: Described[] = text.trim() === "" ? [] : JSON.parse(text)
  return list.filter((entry) => Object.keys(entry).length > 0)
}
