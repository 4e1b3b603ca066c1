import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { Portmap, QUIET, resultOf, rules, udp } from "./network.ts"

const NODE = "192.0.2.7"
const POD = ["10.1.0.2/24"]

/** A node that has an address for clients. */
function busyNode(): Node {
  const node = new Node()
  node.ip("addr", "add", `${NODE}/32`, "dev", "lo")
  return node
}

/** Has the node's kernel track so many UDP flows to the ports that `portOf` says, each from another client and answered by `from`. */
function track(node: Node, count: number, portOf: (index: number) => number, from = "10.1.0.2"): void {
  const lines = Array.from({ length: count }, (_, index) => {
    const client = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
    const there = `-s ${client} -d ${NODE} --sport 4000 --dport ${portOf(index)}`
    return `-I -p udp ${there} -r ${from} -q ${client} --reply-port-src 5353 --reply-port-dst 4000 --timeout 3000\n`
  })
  const file = join(node.dir, "flows")
  writeFileSync(file, lines.join(""))
  output(node.inside(["conntrack", "--load-file", file]))
}

function tracked(node: Node): number {
  return Number(output(node.inside(["conntrack", "-C"])))
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, index) => udp(from + index, 5353))

describe("on a node that tracks 40,000 UDP flows of others", () => {
  const node = busyNode()
  const portmap = new Portmap(node)
  beforeAll(() => track(node, 40_000, (index) => 20_000 + (index % 10_000)))
  afterAll(() => node[Symbol.dispose]())

  test.each([1, 2, 5])("%i UDP ports are mapped and removed without listing them", (count) => {
    const pod = node.pod()
    for (const command of ["ADD", "DEL"]) {
      const config = { prevResult: resultOf(pod, POD) }
      const call = portmap.call(command, pod, { ports: range(53, count), config })
      const { outcome, calls } = node.trace("portmap", call, "recvfrom")
      expect(outcome.exitCode).toBe(0)
      expect(calls.filter(({ name }) => name === "recvfrom").length, command).toBeLessThanOrEqual(20 + 3 * count)
    }
    expect(tracked(node)).toBe(40_000)
  })
})

/** A process has 58 MB for its heap: what takes more fails. */
test("200 UDP ports are mapped and removed though the node tracks 150,000 flows", { timeout: 120_000 }, () => {
  using node = busyNode()
  const pod = node.pod()
  const portmap = new Portmap(node)
  track(node, 150_000, (index) => 20_000 + (index % 10_000), "10.1.0.3")
  portmap.map(pod, range(53, 200), POD)
  expect(portmap.del(pod)).toMatchObject(QUIET)
  expect(tracked(node)).toBe(150_000)
  expect([rules(node, "hostports"), rules(node, "masquerading")]).toEqual([[], []])
})

test("all 12,000 flows of a port end with the pod, and none of others", { timeout: 60_000 }, () => {
  using node = busyNode()
  const pod = node.pod()
  const portmap = new Portmap(node)
  portmap.map(pod, range(53, 1), POD)
  track(node, 13_000, (index) => (index < 12_000 ? 53 : 54))
  portmap.map(pod, range(53, 1), POD)
  expect(tracked(node), "those that are led to the pod stay when it is added again").toBe(13_000)
  portmap.map(pod, [udp(53, 5454)], POD)
  expect(tracked(node), "but not those that are led to another of its ports").toBe(1000)
  track(node, 12_000, () => 53)
  expect(portmap.del(pod)).toMatchObject(QUIET)
  expect(tracked(node)).toBe(1000)
})
