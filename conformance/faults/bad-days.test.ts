import { readdirSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { type Call, environment } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { Network, ports } from "../plugins/bridge/network.ts"
import { differences } from "./differences.ts"
import { readLeases } from "./leases.ts"
import { observeNode } from "./scene.ts"
import { bridged } from "./subjects.ts"

/** Enough for every file of two ADDs. */
const PAGES = 24

/** In a mount namespace of its own: a file system of so many pages, an ADD, and the DEL that follows. */
const ON_TINY_DISK = `
mount -t tmpfs -o size=$((PAGES * 4096)),nr_inodes=64 none $DISK || exit 9
CNI_COMMAND=ADD $PROGRAM <$CONFIG >$ANSWER; echo ADD $?
find $DISK -type f -name '[0-9f]*' -path '*/net/*' ! -path '*/.cni-ts/*' | wc -l
CNI_COMMAND=DEL $PROGRAM <$CONFIG; echo DEL $?
find $DISK -type f -name '[0-9f]*' -path '*/net/*' ! -path '*/.cni-ts/*' | wc -l`

test("an ADD on a disk that is full after any number of pages leaves nothing, and DEL works", () => {
  using node = new Node()
  const network = new Network(node, bridged(node))
  const [pod, other] = [node.pod(), node.pod()]
  network.connect(other)
  const config = join(node.dir, "var-lib/config")
  const answer = join(node.dir, "var-lib/answer")
  writeFileSync(config, JSON.stringify(network.config))
  writeFileSync(answer, "")
  const before = withoutFiles(node)
  const call: Call = { command: "ADD", netns: pod, config: network.config }
  const outcomes = Array.from({ length: PAGES }, (_, page) => {
    const PROGRAM = join(binDirectory(), "bridge")
    const files = { DISK: join(node.dir, "ipam"), CONFIG: config, ANSWER: answer, PROGRAM, PAGES: String(page + 1) }
    const said = output(node.inside(["unshare", "-m", "sh", "-c", ON_TINY_DISK]), {
      env: { ...environment(call), ...files },
    })
    const [add, leasesOfAdd, del, leasesOfDel] = said.trim().split("\n")
    expect([page, del, leasesOfDel]).toEqual([page, "DEL 0", "0"])
    expect([page, add, leasesOfAdd]).toEqual(add === "ADD 0" ? [page, add, "2"] : [page, "ADD 1", "0"])
    expect(differences(before, withoutFiles(node))).toEqual([])
    return add
  })
  expect(new Set(outcomes), "the first disks are too small, the last is not").toEqual(new Set(["ADD 1", "ADD 0"]))
})

function withoutFiles(node: Node): object {
  const { files: _, ...rest } = observeNode(node)
  return rest
}

describe.each([
  ["to 2100, and then back", new Date("2100-01-01")],
  ["to 1970", new Date(0)],
  ["to 1975, when the index of leases has its marks", new Date("1975-01-01")],
])("after the clock was set %s", (_, time) => {
  test("leases are kept, found and freed, and none is given twice", () => {
    using node = new Node()
    const network = new Network(node, bridged(node))
    const [one, two, three] = [node.pod(), node.pod(), node.pod()]
    const result = network.connect(one)
    network.connect(two)
    setTimes(join(node.dir, "ipam"), time)
    expect(network.check(one, result).stdout).toBe("")
    network.connect(three)
    expect(readLeases(node)).toHaveLength(6)
    setTimes(join(node.dir, "ipam"), time)
    expect(network.gc([one, three])).toMatchObject({ exitCode: 0, stdout: "" })
    expect(network.del(one)).toMatchObject({ exitCode: 0, stdout: "" })
    const attachments = readLeases(node).map((lease) => lease.replace(/^.*: |\r.*$/gs, ""))
    expect(attachments).toEqual([three.containerId, three.containerId])
    expect(ports(node)).toHaveLength(1)
  })
})

function setTimes(directory: string, time: Date): void {
  for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" }))
    utimesSync(join(directory, name), time, time)
  utimesSync(directory, time, time)
}

test("rules of others between ours, in our own chains, are there after ADD, DEL and GC as they were", () => {
  using node = new Node()
  const network = new Network(node, { ...bridged(node), ipMasq: true })
  const [one, two] = [node.pod(), node.pod()]
  const chain = ["inet", "cni_plugins_masquerade", "masq_checks"]
  const foreign = () => {
    const { stdout } = node.run("nft", "list", "chain", ...chain)
    return stdout.split("\n").filter((line) => line.includes("192.0.2."))
  }
  network.connect(one)
  node.run("nft", "insert", "rule", ...chain, "ip", "saddr", "192.0.2.1", "accept", "comment", '"cni-ts net 0000"')
  node.run("nft", "add", "rule", ...chain, "ip", "saddr", "192.0.2.2", "counter", "return")
  network.connect(two)
  node.run("nft", "add", "rule", ...chain, "ip", "saddr", "192.0.2.3", "counter", "comment", `"${two.containerId}"`)
  const before = foreign()
  expect(before).toHaveLength(3)
  expect(network.del(one).exitCode).toBe(0)
  expect(foreign()).toEqual(before)
  expect(network.gc([]).exitCode).toBe(0)
  expect(foreign()).toEqual(before)
  expect(node.run("nft", "list", "chain", ...chain).stdout).not.toContain("10.244.")
})
