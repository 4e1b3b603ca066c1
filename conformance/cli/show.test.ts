import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { run } from "../lab/run.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

const second = {
  cniVersion: "1.0.0",
  name: "storage",
  plugins: [
    { type: "macvlan", master: "uplink0", ipam: { type: "static", addresses: [{ address: "198.18.0.7/24" }] } },
  ],
}
const capabilityArgs = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 10_000_000, ingressBurst: 1_000_000, egressRate: 1_500_000, egressBurst: 1_000_000 },
}
const strange = "shop/<b>&"

let node: OperatedNode
beforeAll(() => {
  node = new OperatedNode()
  node.ip("link", "add", "uplink0", "type", "veth", "peer", "uplink1")
  for (const network of [PODNET, second]) node.configure(network)
  node.attach(PODNET, { name: "shop/cart", capabilityArgs })
  const both = node.attach(PODNET, { name: "shop/database" })
  node.attachTo(both, second, { name: "shop/database", ifname: "net1" })
  node.attach(PODNET, { name: strange }).ip("link", "del", "eth0")
  for (let count = 0; count < 8; count++) node.attach(PODNET, { name: `shop/web-${count}` })
})
afterAll(() => node[Symbol.dispose]())

test("a tree of 80 columns: bridge, pods, ports, limits, second interfaces, faults", () => {
  const { exitCode, stdout } = node.cniTs("show")
  expect(exitCode).toBe(1)
  const lines = stdout.trimEnd().split("\n")
  expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(80)
  expect(stdout).toMatch(/└─ cni0 {2}10\.244\.1\.1\/24 fd00:10:244:1::1\/64 {2}podnet\n/)
  expect(stdout).toMatch(/shop\/cart +10\.244\.1\.2 fd00:10:244:1::2 {2}8080→80\/tcp {2}in 10M out 1\.5M/)
  expect(stdout).toMatch(/shop\/database .*\n.* {3}net1 {2}198\.18\.0\.7 {2}storage \(macvlan uplink0\)\n/)
  expect(lines.filter((line) => line.includes("✗"))).toEqual([expect.stringMatching(/shop\/<b>& .*✗ no-interface$/)])
  expect(lines.at(-1)).toBe("11 pods on 1 network")
})

test("the same for programs", () => {
  const picture = JSON.parse(node.cniTs("show", "-o", "json").stdout)
  expect(picture.groups).toHaveLength(1)
  expect(picture.groups[0].pods).toHaveLength(11)
})

test("a picture that stands alone and is well-formed, whatever pods are called", () => {
  const file = join(node.dir, "var-lib/node.svg")
  expect(node.cniTs("show", "--svg", "/var/lib/node.svg")).toMatchObject({ exitCode: 1, stdout: "" })
  const svg = readFileSync(file, "utf8")
  expect(wellFormed(svg)).toBe(true)
  expect(svg).not.toMatch(/<script|href|url\(|@import/)
  expect(svg).toContain("shop/&lt;b&gt;&amp;")
  expect(svg).toContain("prefers-color-scheme: dark")
  rmSync(file)
})

/** Says if Python's XML parser, an implementation of others, takes the document. */
function wellFormed(document: string): boolean {
  const program = "import sys, xml.dom.minidom; xml.dom.minidom.parseString(sys.stdin.buffer.read())"
  return run(["python3", "-c", program], { stdin: document }).exitCode === 0
}
