import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import type { Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { AskedNode } from "./asked-node.ts"

/*
 * Of more than four pods of a network the others do not ask everybody on their bridge who has the gateway: their kernels are told where it is.
 */

const [GATEWAY, GATEWAY6] = ["10.244.1.1", "fd00:10:244:1::1"] as const

let node: AskedNode
/** One of those that are told. Which these are is for the order in which the runtime's memories are read to say. */
let told: Pod
beforeAll(async () => {
  node = new AskedNode()
  node.configure(PODNET)
  await node.attachMany(
    PODNET,
    Array.from({ length: 6 }, (_, number) => ({ name: `shop/pod-${number}` })),
  )
  node.settle()
  forget()
  expect(node.kinds()).toEqual([])
  told = node.pods.find((pod) => neighbours(pod).every(({ dst }) => dst === GATEWAY || dst === GATEWAY6)) as Pod
  forget()
})
afterEach(() => {
  node.mend()
  forget()
})
afterAll(() => node[Symbol.dispose]())

function forget(): void {
  for (const namespace of [node, ...node.pods]) output(namespace.inside(["ip", "neigh", "flush", "all"]))
}

function neighbours(pod: Pod) {
  return pod.ip("neigh", "show", "dev", "eth0").filter(({ dst }) => !String(dst).startsWith("fe80"))
}

const mac = (pod: Pod) => pod.link("eth0")?.address
const nameOf = (pod: Pod) => `shop/pod-${node.pods.indexOf(pod)}`

test("they know the bridge then, and nobody else", () => {
  expect(node.kinds()).toEqual([])
  const bridge = node.link("cni0")?.address
  const known = Object.fromEntries(neighbours(told).map(({ dst, lladdr }) => [dst, lladdr]))
  expect(known).toEqual({ [GATEWAY]: bridge, [GATEWAY6]: bridge })
})

test("what they know already stays", () => {
  const wrong = ["ip", "neigh", "replace", GATEWAY, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent"]
  output(told.inside(wrong))
  node.afterwards(() => told.ip("neigh", "del", GATEWAY, "dev", "eth0"))
  expect(node.kinds()).toEqual([])
  expect(neighbours(told)).toContainEqual(
    expect.objectContaining({ dst: GATEWAY, lladdr: "02:00:00:00:00:99", state: ["PERMANENT"] }),
  )
})

test("a gateway that answers echo requests, and no neighbour discovery, is silent for all", () => {
  node.filter("ip6", "input", "iifname cni0 icmpv6 type nd-neighbor-solicit")
  expect(node.doctor().findings).toMatchObject([
    { kind: "gateway-silent", about: GATEWAY6, problem: "the gateway of 6 pods does not answer" },
  ])
})

test("a gateway that one of them does not reach", () => {
  node.filter("bridge", "input", `ether saddr ${mac(told)} ether type { ip, arp }`)
  const said = node.finding("gateway-silent", nameOf(told))
  expect(said).toContain(`arping -c 1 -I eth0 ${GATEWAY}: no answer`)
  expect(said).toContain(`ping -c 1 ${GATEWAY}: no answer`)
})

test("a gateway that packets of the MTU of one of them do not reach", () => {
  const veth = node.ip("link", "show").find(({ ifindex }) => ifindex === told.link("eth0")?.link_index)?.ifname
  node.ip("link", "set", `${veth}`, "mtu", "1400")
  node.afterwards(() => node.ip("link", "set", `${veth}`, "mtu", "1500"))
  expect(node.finding("path-mtu", nameOf(told))).toContain(`ping -c 1 -M do -s 1472 ${GATEWAY}: no answer`)
})
