import { describe, test } from "vitest"
import type { Node } from "../../lab/node.ts"
import { type Config, DUAL, hostLocal } from "../bridge/network.ts"
import { expectSame, expectSamePrint, expectSwappable, SWAPS } from "../tap/compared.ts"
import { dummy } from "./network.ts"

const NETWORKS: Readonly<Record<string, (node: Node) => Config>> = {
  IPv4: () => ({}),
  "dual stack": (node) => ({ ipam: hostLocal(node, DUAL) }),
  "routes, and keys that are none of its": (node) => ({
    mtu: 1400,
    mac: "02:00:00:00:00:11",
    dns: { nameservers: ["10.0.0.10"] },
    ipam: hostLocal(node, ["10.244.1.0/24"], {
      routes: [{ dst: "0.0.0.0/0" }, { dst: "10.5.0.0/16", gw: "10.244.1.9" }],
    }),
  }),
  "addresses and dns of static": () => ({
    ipam: { type: "static", addresses: [{ address: "169.254.169.254/16" }], dns: { nameservers: ["10.0.0.10"] } },
  }),
}

/** Nobody hears an announcement, or answers who looks for a duplicate. */
const OTHERWISE = /^(ipv6\/conf\/eth0\/(accept_dad|ndisc_notify)|ipv4\/conf\/eth0\/arp_notify)/

describe.each(Object.entries(NETWORKS))("%s", (_, config) => {
  test("is the same as with the reference: the result, the node and the pod, after ADD and after DEL", () =>
    expectSame(dummy, config, OTHERWISE))

  test.each(SWAPS)("added by %s, is checked and removed by %s", (first, second) =>
    expectSwappable(dummy, config, [first, second]),
  )
})

test.each(["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
  "the result at %s is printed byte for byte as by the reference",
  (cniVersion) => expectSamePrint(dummy, () => ({ cniVersion })),
)
