import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

let node: OperatedNode
beforeEach(() => {
  node = new OperatedNode()
  node.configure(PODNET)
})
afterEach(() => node[Symbol.dispose]())

test("a healthy node gives no finding", () => {
  for (let count = 0; count < 3; count++) node.attach(PODNET)
  expect(node.doctor()).toEqual({ exitCode: 0, findings: [], unseen: [], attachments: 3 })
  expect(node.cniTs("doctor").stdout).toBe("healthy: 3 attachments looked at\n")
})

/** Expects exactly one finding, of that kind and about that, and returns what it says. */
function expectFinding(kind: string, about: string, ...args: string[]) {
  const { exitCode, findings, unseen } = node.doctor(...args)
  expect(unseen).toEqual([])
  expect(findings.map((finding) => [finding.kind, finding.about])).toEqual([[kind, about]])
  expect(exitCode).toBe(1)
  return findings[0]
}

describe("networks", () => {
  test("a file that is no network is named, with the reason", () => {
    writeFileSync(join(node.networks, "00-broken.conflist"), "{")
    const finding = expectFinding("broken-network", "/etc/cni/net.d/00-broken.conflist")
    expect(finding?.evidence.join()).toContain("unexpected")
  })
})

test("a node without any network is told how to get one", () => {
  rmSync(join(node.networks, "podnet.conflist"))
  expect(expectFinding("no-network", "/etc/cni/net.d")?.mend).toContain("cni-ts configure")
})

test("a pod is found by its name, container and network namespace, as each is written", () => {
  const pod = node.attach(PODNET, { name: "shop/cart" })
  node.attach(PODNET)
  const [entry = ""] = readdirSync(join(node.dir, "var-lib/cni/results")).filter((file) =>
    readFileSync(join(node.dir, "var-lib/cni/results", file), "utf8").includes('"cart"'),
  )
  const [, container = ""] = /^podnet-(.*)-eth0$/.exec(entry) ?? []
  for (const name of [
    "shop/cart",
    "cart",
    container,
    container.slice(0, 14),
    pod.path,
    pod.path.replace("/run/", "/var/run/"),
    pod.name,
  ])
    expect(node.doctor(name)).toMatchObject({ exitCode: 0, attachments: 1 })
})

describe("pods", () => {
  const broken = (breakIt: (pod: ReturnType<OperatedNode["attach"]>) => void) => {
    node.attach(PODNET)
    breakIt(node.attach(PODNET, { name: "shop/cart" }))
  }

  test("without its interface", () => {
    broken((pod) => pod.ip("link", "del", "eth0"))
    expectFinding("no-interface", "shop/cart")
    expectFinding("no-interface", "shop/cart", "cart")
  })

  test("with its interface down", () => {
    broken((pod) => pod.ip("link", "set", "eth0", "down"))
    expectFinding("interface-down", "shop/cart")
  })

  test("without an address", () => {
    broken((pod) => pod.ip("-4", "address", "flush", "dev", "eth0"))
    expect(expectFinding("no-address", "shop/cart")?.problem).toMatch(/^eth0 lacks its address 10\.244\.1\.\d+\/24$/)
  })

  test("with another address", () => {
    broken((pod) => {
      pod.ip("-4", "address", "flush", "dev", "eth0")
      pod.ip("address", "add", "10.244.1.99/24", "dev", "eth0")
    })
    expect(expectFinding("no-address", "shop/cart")?.evidence.join()).toMatch(/10\.244\.1\.99\/24/)
  })

  test("with another MAC address", () => {
    broken((pod) => pod.ip("link", "set", "eth0", "address", "02:00:00:00:00:77"))
    expect(expectFinding("other-mac", "shop/cart")?.evidence).toContain("eth0 has 02:00:00:00:00:77")
  })

  test("without their namespace, though the runtime remembers them", () => {
    node.attach(PODNET)
    node.lose(node.attach(PODNET, { name: "shop/gone" }))
    expectFinding("no-namespace", "shop/gone")
  })
})
