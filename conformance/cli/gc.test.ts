import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

let node: OperatedNode
const leases = () =>
  readdirSync(join(node.dir, "var-lib/cni/networks/podnet"))
    .filter((name) => /^[\d.]+$|:/.test(name))
    .sort()
const capabilityArgs = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] }
const rules = () => node.run("nft", "list", "ruleset").stdout

beforeEach(() => {
  node = new OperatedNode()
  node.configure(PODNET)
  node.attach(PODNET, { name: "shop/cart" })
  node.lose(node.attach(PODNET, { name: "shop/gone", capabilityArgs }))
  const lease = join(node.dir, "var-lib/cni/networks/podnet/10.244.1.9")
  writeFileSync(lease, "lost\r\neth0")
  utimesSync(lease, 1_000_000, 1_000_000)
})
afterEach(() => node[Symbol.dispose]())

test("--dry-run says what would go, and changes nothing", () => {
  const { exitCode, stdout, stderr } = node.cniTs("gc", "podnet", "--dry-run")
  expect([exitCode, stderr]).toEqual([0, ""])
  const lines = stdout.trimEnd().split("\n")
  expect(lines[0]).toMatch(/^attachment shop\/gone eth0: .* is gone$/)
  expect(lines.slice(1).map((line) => line.split(" of ")[0])).toEqual([
    "lease 10.244.1.3",
    "lease 10.244.1.9",
    "lease fd00:10:244:1::3",
  ])
  expect(leases()).toEqual(["10.244.1.2", "10.244.1.3", "10.244.1.9", "fd00:10:244:1::2", "fd00:10:244:1::3"])
  expect(rules()).toContain("dport 8080")
})

test("--dry-run says the same for programs", () => {
  const { exitCode, stdout } = node.cniTs("gc", "podnet", "--dry-run", "-o", "json")
  const { network, stale } = JSON.parse(stdout)
  expect([exitCode, network]).toEqual([0, "podnet"])
  expect(stale.map(({ kind, name }: Record<string, string>) => `${kind} ${name}`)).toEqual([
    "attachment shop/gone eth0",
    "lease 10.244.1.3",
    "lease 10.244.1.9",
    "lease fd00:10:244:1::3",
  ])
  expect(stale[2].container).toBe("lost")
  expect(leases()).toHaveLength(5)
})

test("--yes removes exactly that: leases, rules and memory of pods that are gone, and nothing of those that live", () => {
  expect(node.cniTs("gc", "podnet", "--yes")).toMatchObject({ exitCode: 0 })
  expect(leases()).toEqual(["10.244.1.2", "fd00:10:244:1::2"])
  expect(rules()).not.toContain("dport 8080")
  expect(readdirSync(join(node.dir, "var-lib/cni/results"))).toHaveLength(1)
  expect(node.doctor()).toMatchObject({ exitCode: 0, attachments: 1 })
  expect(node.cniTs("gc", "podnet", "--dry-run").stdout).toBe("nothing of podnet is stale\n")
})

test("a pod that no runtime remembers yet keeps what it has: its ADD may be under way", () => {
  const started = node.attach(PODNET, { name: "shop/started" })
  const cache = join(node.dir, "var-lib/cni/results")
  const isOf = (entry: string) => readFileSync(join(cache, entry), "utf8").includes('"started"')
  for (const entry of readdirSync(cache).filter(isOf)) rmSync(join(cache, entry))
  expect(node.cniTs("gc", "podnet", "--yes")).toMatchObject({ exitCode: 0 })
  expect(leases()).toEqual(["10.244.1.2", "10.244.1.4", "fd00:10:244:1::2", "fd00:10:244:1::4"])
  expect(started.link("eth0")).toBeDefined()
})

test("a memory that cannot be read may be of a living pod: nothing is removed", () => {
  writeFileSync(join(node.dir, "var-lib/cni/results/podnet-half-eth0"), '{"kind":"cniCacheV1","conta')
  const { exitCode, stderr } = node.cniTs("gc", "podnet", "--yes")
  expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/not all pods can be seen.*podnet-half-eth0/)])
  expect(leases()).toHaveLength(5)
})

test.each([[["podnet"]], [["podnet", "--yes", "--dry-run"]]])("it wants to be told to: %j", (args) => {
  expect(node.cniTs("gc", ...args)).toMatchObject({ exitCode: 2, stderr: "cni-ts gc: say --dry-run or --yes\n" })
})
