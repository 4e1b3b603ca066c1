import type { Family } from "../../../ip/address.ts"
import { isDefault } from "../../../ip/prefix.ts"
import { host } from "../../../sys/host.ts"
import { encodeStep, type Step } from "../expression.ts"
import * as phrase from "../phrase.ts"
import type { Rule } from "../rule.ts"
import * as extension from "./extension.ts"
import type { Action, IptablesRule } from "./rule.ts"

const COUNTER = encodeStep({ name: "counter", data: { bytes: 0n, packets: 0n } })

/**
 * Makes the rule as iptables 1.8.7 does. Later versions compare ports and marks with nf_tables' own expressions, which earlier ones ignore:
 * their `iptables-save` would print a rule that takes all packets. All of them read these extensions.
 */
export function encodeIptablesRule(rule: IptablesRule, family: Family): Rule {
  return {
    expressions: [...packetTests(rule), ...extensionTests(rule), COUNTER, actionStep(rule.action, family)],
    compat: { protocol: rule.protocol ?? 0, flags: 0 },
  }
}

function packetTests(rule: IptablesRule): Step[] {
  const {
    fromInterface,
    notFromInterface,
    toInterface,
    notToInterface,
    protocol,
    source,
    notSource,
    destination,
    notDestination,
  } = rule
  const not = { not: true }
  return [
    ...(fromInterface === undefined ? [] : onInterface("iifname", fromInterface)),
    ...(notFromInterface === undefined ? [] : onInterface("iifname", notFromInterface, not)),
    ...(toInterface === undefined ? [] : onInterface("oifname", toInterface)),
    ...(notToInterface === undefined ? [] : onInterface("oifname", notToInterface, not)),
    ...(protocol === undefined ? [] : phrase.ofProtocol(protocol)),
    ...(source && !isDefault(source) ? phrase.source(source) : []),
    ...(notSource ? phrase.source(notSource, not) : []),
    ...(destination && !isDefault(destination) ? phrase.destination(destination) : []),
    ...(notDestination ? phrase.destination(notDestination, not) : []),
  ]
}

/** Compares the name with its NUL, without the zeros after it that `nft` compares too. */
function onInterface(key: "iifname" | "oifname", name: string, { not = false } = {}): Step[] {
  return [phrase.loadMeta(key), phrase.compare(host.encode(`${name}\0`), not)]
}

function extensionTests(rule: IptablesRule): Step[] {
  const { comment, established, protocol, destinationPort, destinationPorts, toThisHost, marked } = rule
  const steps: Step[] = []
  if (comment !== undefined) steps.push(step("match", extension.comment, comment))
  if (established) steps.push(step("match", extension.established(), true))
  if (destinationPort !== undefined) steps.push(step("match", extension.destinationPort(protocol), destinationPort))
  if (destinationPorts) steps.push(step("match", extension.destinationPorts, destinationPorts))
  if (toThisHost) steps.push(step("match", extension.toThisHost(), true))
  if (marked !== undefined) steps.push(step("match", extension.marked, marked))
  return steps
}

function actionStep(action: Action, family: Family): Step {
  if ("verdict" in action) return phrase.verdict(action.verdict)
  if ("jump" in action) return phrase.transfer("jump", action.jump)
  if ("mark" in action) return step("target", extension.setMark, action.mark)
  if ("masquerade" in action) return step("target", extension.masquerade(family), true)
  return step("target", extension.dnat(family), action.dnat)
}

function step<Value>(kind: "match" | "target", { name, revision, write }: extension.Extension<Value>, value: Value) {
  return encodeStep({ name: kind, data: { name, revision, info: write(value) } })
}
