import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

const small = {
  cniVersion: "1.0.0",
  name: "small",
  plugins: [{ type: "bridge", bridge: "small0", ipam: { type: "host-local", ranges: [[{ subnet: "10.9.9.0/29" }]] } }],
}
let node: OperatedNode
beforeAll(() => {
  node = new OperatedNode()
  for (const network of [PODNET, small]) node.configure(network)
  node.attach(PODNET, { name: "shop/cart" })
  node.attach(small, { name: "shop/web" })
  node.lose(node.attach(small, { name: "shop/gone" }))
  writeFileSync(join(node.dir, "var-lib/cni/networks/small/10.9.9.5"), "lost-container\r\neth0")
})
afterAll(() => node[Symbol.dispose]())

const list = (...args: string[]) => JSON.parse(node.cniTs("leases", "-o", "json", ...args).stdout)

test("every lease is listed with its pod, and if that is alive", () => {
  expect(list("small")).toEqual([
    expect.objectContaining({ address: "10.9.9.2", pod: "shop/web", interface: "eth0", state: "alive" }),
    expect.objectContaining({ address: "10.9.9.3", pod: "shop/gone", state: "its namespace is gone" }),
    expect.objectContaining({ address: "10.9.9.5", pod: "lost-contain", state: "no runtime remembers it" }),
  ])
  expect(list().map(({ address }: { address: string }) => address)).toEqual(
    expect.arrayContaining(["10.244.1.2", "fd00:10:244:1::2", "10.9.9.2"]),
  )
})

test("in columns, for people", () => {
  const lines = node.cniTs("leases", "small").stdout.split("\n")
  expect(lines[0]).toMatch(/^NETWORK {2}ADDRESS +POD +INTERFACE +SINCE +STATE$/)
  expect(lines[1]).toMatch(/^small +10\.9\.9\.2 +shop\/web +eth0 +20\d\d-\d\d-\d\dT[\d:]+Z +alive$/)
})

test("--free lists what is left of each range", () => {
  expect(node.cniTs("leases", "small", "--free").stdout).toBe(
    "NETWORK  RANGE              FREE\nsmall    10.9.9.1-10.9.9.6  10.9.9.4 10.9.9.6\n",
  )
})

test("a network that has none is an error", () => {
  expect(node.cniTs("leases", "nonet")).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('no network "nonet"'),
  })
})

test("a memory that cannot be read may be of a pod that has a lease: that is said", () => {
  const file = join(node.dir, "var-lib/cni/results/small-half-eth0")
  writeFileSync(file, '{"kind":"cniCacheV1","conta')
  const { exitCode, stdout, stderr } = node.cniTs("leases", "small")
  rmSync(file)
  expect([exitCode, stderr]).toEqual([2, "cni-ts leases: 1 thing could not be seen: cni-ts doctor names it\n"])
  expect(stdout).toMatch(/10\.9\.9\.5 .* no memory of a runtime that can be read is of it\n/)
})
