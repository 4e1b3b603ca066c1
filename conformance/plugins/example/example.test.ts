import { linkSync, mkdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { makeExecutable } from "../../../build/executable.ts"
import { ownArchitecture } from "../../../build/toolchain.ts"
import { environment, outcome } from "../../lab/call.ts"
import type { NetworkList } from "../../lab/cnitool.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"

const PAGE = resolve(fileURLToPath(import.meta.url), "../../../../docs/example-plugin/README.md")
const [, json = ""] = /^```json\n([\s\S]*?)^```$/m.exec(readFileSync(PAGE, "utf8")) ?? []
const network: NetworkList = JSON.parse(json)
const DENIED = "169.254.169.254"

let node: Node
let bin: string
beforeAll(async () => {
  node = new Node()
  bin = join(node.dir, "bin")
  mkdirSync(bin)
  await makeExecutable(ownArchitecture(), join(bin, "deny"), { program: "conformance/plugins/example/program.ts" })
  for (const other of ["bridge", "host-local"]) linkSync(join(bin, "deny"), join(bin, other))
  node.ip("addr", "add", `${DENIED}/32`, "dev", "lo")
})
afterAll(() => node[Symbol.dispose]())

let pod: Pod
beforeEach(() => {
  pod = node.pod()
})

const call = (command: "add" | "check" | "del", of = network) =>
  node.cnitool({ command, network: of, netns: pod, path: bin })

function rules(): string {
  return node.run("nft", "list", "table", "inet", "cni_ts_deny").stdout
}

function gc(survivors: readonly Pod[]) {
  const valid = survivors.map(({ containerId }) => ({ containerID: containerId, ifname: "eth0" }))
  const config = { ...network.plugins[1], cniVersion: "1.1.0", name: network.name, "cni.dev/valid-attachments": valid }
  const env = environment({ command: "GC", path: bin })
  return outcome(run(node.inside([join(bin, "deny")]), { env, stdin: JSON.stringify(config) }))
}

test("the example on its page is added, checked and removed as it stands, and keeps a pod from that address", () => {
  expect(call("add", { ...network, plugins: network.plugins.slice(0, 1) })).toMatchObject({ exitCode: 0 })
  expect(pod.pings(DENIED)).toBe(true)
  expect(call("del", { ...network, plugins: network.plugins.slice(0, 1) })).toMatchObject({ exitCode: 0 })

  expect(call("add")).toMatchObject({ exitCode: 0, stderr: "" })
  const [address] = pod.addresses("eth0")
  expect(rules()).toContain(`ip saddr ${address?.split("/")[0]} ip daddr ${DENIED} drop comment`)
  expect(pod.pings("10.244.1.1")).toBe(true)
  expect(pod.pings(DENIED)).toBe(false)
  expect(call("check")).toMatchObject({ exitCode: 0, stderr: "" })
  expect(call("del")).toMatchObject({ exitCode: 0, stderr: "" })
  expect(rules()).not.toContain("saddr")
})

describe("the example", () => {
  test("names in CHECK what is missing, and brings nothing back itself", () => {
    call("add")
    node.run("nft", "flush", "chain", "inet", "cni_ts_deny", "prerouting")
    const { exitCode, stderr } = call("check")
    expect(exitCode).toBe(1)
    expect(stderr).toContain("a rule of the pod is missing in chain prerouting of table inet cni_ts_deny")
    expect(call("del")).toMatchObject({ exitCode: 0 })
  })

  test("needs in DEL neither the pod's namespace nor a previous result", () => {
    call("add")
    expect(rules()).toContain("drop")
    const env = environment({ command: "DEL", containerId: containerIdIn(rules()), path: bin })
    const config = { ...network.plugins[1], cniVersion: "1.1.0", name: network.name }
    expect(run(node.inside([join(bin, "deny")]), { env, stdin: JSON.stringify(config) })).toMatchObject({ exitCode: 0 })
    expect(rules()).not.toContain("saddr")
  })

  test("removes by GC the rules of pods that the runtime does not know, and says so", () => {
    call("add")
    const { exitCode, stderr } = gc([])
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(/^cni-ts deny: removed a rule \(".*, net: podnet, if: eth0, id: .*"\): not among /)
    expect(rules()).not.toContain("saddr")
    call("del")
  })

  test("leaves nothing behind if a chain of its name is somebody else's", () => {
    node.run("nft", "delete", "table", "inet", "cni_ts_deny")
    node.run(
      "nft",
      "add table inet cni_ts_deny; add chain inet cni_ts_deny prerouting { type filter hook input priority 0; }",
    )
    const before = rules()
    const { exitCode, stderr } = call("add")
    expect(exitCode).toBe(1)
    expect(stderr).toContain("is somebody else's")
    expect(rules()).toBe(before)
    expect(call("del")).toMatchObject({ exitCode: 0 })
    expect(pod.link("eth0")).toBeUndefined()
  })
})

function containerIdIn(listed: string): string {
  return /id: ([^"]+)"/.exec(listed)?.[1] ?? ""
}
