import type { KernelLine } from "../../survey/kernel-log.ts"
import type { Finding } from "../finding.ts"

/** Something that the kernel says in its log when it cannot serve pods' networks any more. */
interface Trouble extends Pick<Finding, "kind" | "problem" | "cause" | "mend"> {
  readonly says: RegExp
}

const troubles: readonly Trouble[] = [
  {
    kind: "namespace-stuck",
    says: /^unregister_netdevice: waiting for \S+ to become free/,
    problem: "the kernel does not get rid of an interface: no namespace ends meanwhile, and ADD and DEL wait",
    cause: "something holds the interface, mostly a fault of the kernel (moby/moby#5618 tells of many)",
    mend: "a reboot, and a newer kernel of your distribution",
  },
  {
    kind: "conntrack-drops",
    says: /^(?:nf_conntrack: )+table full, dropping packet/,
    problem: "the table of connections was full: new connections were dropped",
    cause: "more connections than the node was made for, or a pod that opens them without end: conntrack -L",
    mend: "a larger net.netfilter.nf_conntrack_max (sysctl -w), kept in /etc/sysctl.d",
  },
  {
    kind: "neighbours-full",
    says: /^neighbour: (?:arp|ndisc)_cache: neighbor table overflow/,
    problem: "the table of neighbours, one for all pods, was full: packets to new ones were dropped",
    cause: "more pods and machines on the node's networks than the kernel's default is for (kubernetes/kops#4533)",
    mend: "sysctl -w net.ipv4.neigh.default.gc_thresh3=8192 net.ipv6.neigh.default.gc_thresh3=8192, and keep it in /etc/sysctl.d",
  },
]

/** A task that waits for minutes, and what shows in the lines behind that it waits for the lock on the kernel's networks, or holds it. */
const HUNG = /^INFO: task (\S+) blocked for more than \d+ seconds/
const IN_NETWORK =
  /\b(?:rtnl_lock|rtnetlink_rcv_msg|cleanup_net|copy_net_ns|unregister_netdevice_many|nfnetlink_rcv_batch)\b/
const LINES_OF_STACK = 60

/** Returns what the kernel has said of late that keeps pods' networks from working. */
export function troublesIn(log: readonly KernelLine[]): Finding[] {
  const said = troubles.flatMap(({ says, ...trouble }) => {
    const lines = log.filter(({ text }) => says.test(text))
    return lines.length === 0 ? [] : [{ ...trouble, about: "the kernel", evidence: evidenceOf(lines) }]
  })
  return [...said, ...hungTasks(log)]
}

function* hungTasks(log: readonly KernelLine[]): Generator<Finding> {
  const hung = log.filter(({ text }, at) => HUNG.test(text) && isInNetwork(log, at))
  if (hung.length === 0) return
  yield {
    kind: "network-hangs",
    about: "the kernel",
    problem: "tasks wait for minutes for the lock on the kernel's networks: ADD and DEL wait, too",
    evidence: evidenceOf(hung),
    cause: "a fault of the kernel, or of a driver: the stacks in dmesg name who holds the lock",
    mend: "report the stacks to your distribution; a reboot frees the node",
  }
}

function isInNetwork(log: readonly KernelLine[], at: number): boolean {
  const behind = log.slice(at + 1, at + 1 + LINES_OF_STACK)
  const next = behind.findIndex(({ text }) => HUNG.test(text))
  return behind.slice(0, next === -1 ? behind.length : next).some(({ text }) => IN_NETWORK.test(text))
}

function evidenceOf(lines: readonly KernelLine[]): string[] {
  const last = lines.at(-1)
  const times = lines.length === 1 ? "once" : `${lines.length} times`
  return [`dmesg: ${last?.text}`, `${times} in the last ten minutes, last ${Math.round(last?.ago ?? 0)} s ago`]
}
