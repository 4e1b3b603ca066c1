import { describe, expect, test } from "vitest"
import "../../../lib/sys/node/register.ts"
import { parsePrefix } from "../../../lib/ip/prefix.ts"
import { decodeSteps, encodeStep, type Step } from "../../../lib/netlink/netfilter/expression.ts"
import {
  compare,
  destinationPort,
  fromInterface,
  ofFamily,
  ofProtocol,
  source,
  transfer,
  verdict,
  withMark,
} from "../../../lib/netlink/netfilter/phrase.ts"
import type { Chain } from "../../../lib/netlink/netfilter/ruleset.ts"
import type { Ruleset } from "../../survey/ruleset.ts"
import { type Packet, UNKNOWN } from "./packet.ts"
import { walk } from "./walk.ts"

const table = { family: "inet", name: "site" } as const
const forward: Chain = {
  table,
  name: "forward",
  base: { type: "filter", hook: "forward", priority: 0, policy: "drop" },
}
const pod = parsePrefix("10.244.1.2/32")
const podnet = parsePrefix("10.244.0.0/16")
const others = parsePrefix("10.245.0.0/16")
if (!pod || !podnet || !others) throw new Error("no prefix")
const packet: Packet = { ...UNKNOWN, fromInterface: "cni0", source: pod.address }

type Chains = Readonly<Record<string, readonly (readonly Step[])[]>>

/** Returns the verdicts that a packet may come to in `forward`. */
function ends(chains: Chains, sent = packet): string[] {
  const rulesOf = ({ name }: Pick<Chain, "name">) =>
    (chains[name] ?? []).map((steps, at) => ({
      handle: BigInt(at),
      chain: name,
      comment: undefined,
      note: undefined,
      expressions: () => steps.flatMap(decodeSteps),
    }))
  const ruleset = { rulesOf, rulesFor: rulesOf, chainsAt: () => [forward] } as unknown as Ruleset
  return walk(ruleset, forward, sent, { containerId: "x" }).map(({ verdict }) => verdict)
}

const [accept, drop, leave] = [verdict("accept"), verdict("drop"), verdict("return")]

describe("a packet", () => {
  test.each<[string, Chains, string[]]>([
    ["meets the policy", {}, ["drop"]],
    ["meets a rule for its interface", { forward: [[...fromInterface("cni0"), accept]] }, ["accept"]],
    ["does not meet one for another", { forward: [[...fromInterface("docker0"), accept]] }, ["drop"]],
    ["meets a rule for any other", { forward: [[...fromInterface("docker0", { not: true }), accept]] }, ["accept"]],
    ["meets a rule for its network", { forward: [[...ofFamily(4), ...source(podnet), accept]] }, ["accept"]],
    ["does not meet one for others", { forward: [[...source(others), accept]] }, ["drop"]],
    ["is of no other family", { forward: [[...ofFamily(6), accept]] }, ["drop"]],
    [
      "may meet a rule for a port",
      { forward: [[...ofProtocol(6), ...destinationPort(80), accept]] },
      ["accept", "drop"],
    ],
    ["bears no mark", { forward: [[...withMark(1, 1), accept]] }, ["drop"]],
    [
      "follows a jump, and comes back",
      { forward: [[transfer("jump", "a")], [accept]], a: [[...source(others), drop]] },
      ["accept"],
    ],
    ["does not come back from a goto", { forward: [[transfer("goto", "a")], [accept]], a: [] }, ["drop"]],
    ["returns", { forward: [[transfer("jump", "a")], [accept]], a: [[leave], [drop]] }, ["accept"]],
    [
      "may return",
      { forward: [[transfer("jump", "a")], [accept]], a: [[...ofProtocol(6), leave], [drop]] },
      ["drop", "accept"],
    ],
    ["is lost in a circle", { forward: [[transfer("jump", "forward")]] }, ["unknown", "drop"]],
  ])("%s", (_, chains, verdicts) => {
    expect([...new Set(ends(chains))]).toEqual(verdicts)
  })

  test("of which more is known meets more", () => {
    const rule = [...ofProtocol(6), ...destinationPort(80), accept]
    expect(ends({ forward: [rule] }, { ...packet, protocol: 6, destinationPort: 80 })).toEqual(["accept"])
    expect(ends({ forward: [rule] }, { ...packet, protocol: 17, destinationPort: 80 })).toEqual(["drop"])
    expect(ends({ forward: [rule] }, { ...packet, protocol: 6, destinationPort: 81 })).toEqual(["drop"])
  })

  test("that a rule may have marked may bear any mark", () => {
    const mark = encodeStep({ name: "meta", data: { key: 3, source: 1 } })
    expect(ends({ forward: [[mark], [...withMark(1, 1), accept]] })).toEqual(["accept", "drop"])
  })

  test("of which an unknown step decides may come to anything", () => {
    const unknown = encodeStep({ name: "numgen", data: undefined } as never)
    const compared = compare(Uint8Array.of(6))
    expect(ends({ forward: [[unknown, compared, accept]] })).toEqual(["accept", "drop"])
  })
})
