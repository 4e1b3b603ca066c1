import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import type { Result } from "../lab/call.ts"
import type { NetworkList } from "../lab/cnitool.ts"
import { Node } from "../lab/node.ts"

const ROOT = resolve(fileURLToPath(import.meta.url), "../../..")

/** The runtime's part: libcni hands it to the plugins that name the capability. */
const CAPABILITIES = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
  bandwidth: { ingressRate: 1e7, ingressBurst: 1e7, egressRate: 1e7, egressBurst: 1e7 },
}

/** A chained plugin's work as the machine's own tools show it, by the page. */
const SHOWN: Readonly<Record<string, readonly [string[], string]>> = {
  "plugins/portmap": [["nft", "list", "table", "ip", "cni_hostport"], "tcp dport 8080"],
  "plugins/firewall": [["nft", "list", "table", "inet", "cni_firewall"], "established,related accept"],
  "plugins/bandwidth": [["tc", "qdisc", "show"], "rate 10Mbit"],
}

/** Those of plugins that need Debian's kernel are followed in the VM, by `vlan/examples.test.ts`. */
const needsVm = (page: string) => existsSync(join(ROOT, "conformance", page, "vm.test.ts"))
const isVm = process.env["CNITS_IN_VM"] !== undefined

const pages = ["plugins", "ipam"].flatMap((kind) => {
  const entries = readdirSync(join(ROOT, kind), { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => `${kind}/${name}`)
  return names.filter((page) => needsVm(page) === isVm)
})

function exampleOf(page: string): NetworkList {
  const text = readFileSync(join(ROOT, page, "README.md"), "utf8")
  const [, json = ""] = /^## Example$[\s\S]*?^```json\n([\s\S]*?)^```$/m.exec(text) ?? []
  return JSON.parse(json)
}

test.each(pages)("the example on the page of %s is added, checked and removed as it stands", (page) => {
  const network = exampleOf(page)
  expect(JSON.stringify(network)).toContain(`"type":"${page.split("/")[1]}"`)
  using node = new Node()
  const netns = node.pod()
  node.ip("link", "add", "eth0", "type", "veth", "peer", "name", "far") // the master of macvlan's
  for (const link of ["eth0", "far"]) node.ip("link", "set", link, "up")
  node.ip("link", "add", "ens4", "type", "veth", "peer", "name", "far4") // the device of host-device's
  const call = (command: "add" | "check" | "del") =>
    node.cnitool({ command, network, netns, capabilityArgs: CAPABILITIES })

  const added = call("add")
  expect(added).toMatchObject({ exitCode: 0, stderr: "" })
  const { ips = [] }: Result = JSON.parse(added.stdout)
  const name = page === "plugins/loopback" ? "lo" : "eth0"
  expect(ips.length).toBeGreaterThan(0)
  expect(netns.addresses(name).sort()).toEqual(ips.map(({ address }) => address).sort())
  const [argv, shown] = SHOWN[page] ?? [["true"], ""]
  expect(node.run(...argv).stdout).toContain(shown)

  const leased = page !== "plugins/loopback" && page !== "ipam/static"
  expect(leasesOf(node, network.name)).toHaveLength(leased ? ips.length : 0)
  expect(call("check")).toMatchObject({ exitCode: 0, stderr: "" })
  expect(call("del")).toMatchObject({ exitCode: 0, stderr: "" })
  expect(netns.ip("link", "show").map(({ ifname }) => ifname)).toEqual(["lo"])
  if (shown !== "") expect(node.run(...argv).stdout).not.toContain(shown)
  expect(leasesOf(node, network.name)).toEqual([])
})

/** Returns the addresses that host-local's files say are leased. */
function leasesOf(node: Node, network: string): string[] {
  const directory = join(node.dir, "var-lib/cni/networks", network)
  return existsSync(directory) ? readdirSync(directory).filter((file) => /^[\da-f]+[.:]/.test(file)) : []
}
