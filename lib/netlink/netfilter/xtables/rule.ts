import { type Address, formatAddress } from "../../../ip/address.ts"
import { formatPrefix, isDefault, networkOf, type Prefix } from "../../../ip/prefix.ts"

/** A rule in the terms of iptables: the action is taken if all given conditions hold. */
export interface IptablesRule {
  /** `-s PREFIX`, `! -s PREFIX` */
  readonly source?: Prefix
  readonly notSource?: Prefix
  /** `-d PREFIX`, `! -d PREFIX` */
  readonly destination?: Prefix
  readonly notDestination?: Prefix
  /** `-i NAME`, `! -i NAME` */
  readonly fromInterface?: string
  readonly notFromInterface?: string
  /** `-o NAME`, `! -o NAME` */
  readonly toInterface?: string
  readonly notToInterface?: string
  /** `-p PROTOCOL`: IPPROTO_* */
  readonly protocol?: number
  /** `-m comment --comment TEXT` */
  readonly comment?: string
  /** `-m conntrack --ctstate RELATED,ESTABLISHED` */
  readonly established?: true
  /** `--dport PORT`; needs `protocol`. */
  readonly destinationPort?: number
  /** `-m multiport --dports PORT,PORT`, 15 at most; needs `protocol`. */
  readonly destinationPorts?: readonly number[]
  /** `-m addrtype --dst-type LOCAL` */
  readonly toThisHost?: true
  /** `-m mark --mark BITS/BITS` */
  readonly marked?: number
  readonly action: Action
}

/** The part of a rule after `-j`. */
export type Action =
  | { readonly verdict: "accept" | "drop" | "return" }
  | { readonly jump: string }
  /** `-j MARK --set-xmark BITS/BITS` */
  | { readonly mark: number }
  | { readonly masquerade: true }
  /** `-j DNAT --to-destination ADDRESS:PORT` */
  | { readonly dnat: { readonly address: Address; readonly port: number } }

/** The protocols whose ports a rule can ask for, by number. */
export const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 132: "sctp" }

/** Returns the rule as `iptables-save` prints it after `-A CHAIN`. Rules that mean the same have the same text. */
export function formatIptablesRule(rule: IptablesRule): string {
  return [...packetTests(rule), ...extensionTests(rule), "-j", formatAction(rule.action)].join(" ")
}

function packetTests(rule: IptablesRule): string[] {
  const words: string[] = []
  for (const [option, is, isNot] of [
    ["-s", rule.source, rule.notSource],
    ["-d", rule.destination, rule.notDestination],
  ] as const) {
    if (is && !isDefault(is)) words.push(option, formatPrefix(networkOf(is)))
    if (isNot) words.push("!", option, formatPrefix(networkOf(isNot)))
  }
  for (const [option, is, isNot] of [
    ["-i", rule.fromInterface, rule.notFromInterface],
    ["-o", rule.toInterface, rule.notToInterface],
  ] as const) {
    if (is !== undefined) words.push(option, is)
    if (isNot !== undefined) words.push("!", option, isNot)
  }
  if (rule.protocol !== undefined) words.push("-p", protocolName(rule.protocol))
  return words
}

function extensionTests(rule: IptablesRule): string[] {
  const words: string[] = []
  if (rule.comment !== undefined) words.push("-m", "comment", "--comment", quoted(rule.comment))
  if (rule.established) words.push("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
  if (rule.destinationPort !== undefined) {
    words.push("-m", protocolName(rule.protocol ?? 0), "--dport", String(rule.destinationPort))
  }
  if (rule.destinationPorts) words.push("-m", "multiport", "--dports", rule.destinationPorts.join(","))
  if (rule.toThisHost) words.push("-m", "addrtype", "--dst-type", "LOCAL")
  if (rule.marked !== undefined) words.push("-m", "mark", "--mark", maskedBits(rule.marked))
  return words
}

function formatAction(action: Action): string {
  if ("verdict" in action) return action.verdict.toUpperCase()
  if ("jump" in action) return action.jump
  if ("mark" in action) return `MARK --set-xmark ${maskedBits(action.mark)}`
  if ("masquerade" in action) return "MASQUERADE"
  const { address, port } = action.dnat
  const host = formatAddress(address)
  return `DNAT --to-destination ${address.family === 4 ? host : `[${host}]`}:${port}`
}

function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? String(protocol)
}

function maskedBits(bits: number): string {
  const text = `0x${bits.toString(16)}`
  return `${text}/${text}`
}

function quoted(text: string): string {
  return /^[-\w]+$/.test(text) ? text : `"${text.replace(/["'\\]/g, "\\$&")}"`
}
