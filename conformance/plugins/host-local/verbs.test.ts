import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Namespace } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { Network, under } from "./network.ts"

const small = { subnet: "10.1.2.0/29" }

describe("DEL", () => {
  test("frees the lease though the ranges or the arguments have become invalid", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("c")
    const { dataDir } = (network.config as { ipam: { dataDir: string } }).ipam
    const broken = { ipam: { type: "host-local", dataDir, subnet: "10.1.2.1/33", ranges: [[]] } }
    expect(network.add("d", { config: broken }).error).toMatchObject({ code: 7 })
    expect(network.del("c", { config: broken, args: "nonsense" }).exitCode).toBe(0)
    expect(network.leases()).toEqual({})
  })

  test("never takes the text of an address for a container", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("c")
    expect(network.del("10.1.2.2").exitCode).toBe(0)
    expect(Object.keys(network.files())).toEqual(["10.1.2.2", "last_reserved_ip.0", "lock"])
  })

  test("of an attachment in several sets leaves a lease that names only the container", () => {
    using node = new Node()
    const network = new Network(node, { ranges: [[small], [{ subnet: "fd00::/64" }]] })
    network.add("c")
    network.put("10.1.2.6", "c")
    network.del("c")
    expect(network.leases()).toEqual({ "10.1.2.6": "c" })
    network.del("c")
    expect(network.leases()).toEqual({})
  })

  test("makes no directory for a network that never was", () => {
    using node = new Node()
    const network = new Network(node, small)
    expect(network.del("c").exitCode).toBe(0)
    expect(network.files()).toEqual({})
  })

  test("frees an attachment whose container id is longer than a file name may be", () => {
    using node = new Node()
    const network = new Network(node, small)
    const id = "x".repeat(5000)
    expect(network.lease(id)).toBe("10.1.2.2")
    expect(network.add(id).error?.msg).toContain("duplicate allocation")
    expect(network.del(id).exitCode).toBe(0)
    expect(network.leases()).toEqual({})
  })
})

describe("ADD", () => {
  test("gives back the first set's address when the second set has none", () => {
    using node = new Node()
    const network = new Network(node, { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00::/126" }]] })
    network.add("a")
    network.add("b")
    const before = network.files()
    expect(network.add("c").error).toMatchObject({ code: 103, msg: expect.stringContaining("for range 1: no IP") })
    expect(network.files()).toEqual(before)
  })

  test("fails with two requested addresses in one set, naming the one left over and why", () => {
    using node = new Node()
    const network = new Network(node, small)
    const config = { runtimeConfig: { ips: ["10.1.2.3", "10.1.2.4"] } }
    expect(network.add("c", { config }).error).toMatchObject({
      code: 103,
      msg: "failed to allocate all requested IPs: 10.1.2.4",
      details: expect.stringContaining("only one address can be had from range set"),
    })
    expect(network.files()).toEqual({})
  })

  test("with a request that fails keeps what the attachment already has", () => {
    using node = new Node()
    const network = new Network(node, { ranges: [[small], [{ subnet: "fd00::/64" }]] })
    network.add("c")
    expect(network.add("c", { args: "IP=10.1.2.5" }).error?.msg).toContain("duplicate allocation")
    expect(Object.keys(network.leases())).toEqual(["10.1.2.2", "fd00::2"])
  })

  test.each([
    ["missing", () => {}, 101],
    ["a directory", (path: string) => mkdirSync(path), 7],
    ["endless", (path: string) => symlinkSync("/dev/zero", path), 7],
    ["too large", (path: string) => writeFileSync(path, "#".repeat(2 << 20)), 101],
  ])("fails at once when resolvConf is %s", (_, make, code) => {
    using node = new Node()
    const resolvConf = join(node.dir, "resolv.conf")
    make(resolvConf)
    const network = new Network(node, { ...small, resolvConf })
    expect(network.add("c").error).toMatchObject({ code, msg: expect.stringContaining(resolvConf) })
    expect(network.files()).toEqual({})
  })
})

describe("CHECK", () => {
  test("fails when an address of the result is not leased to the attachment", () => {
    using node = new Node()
    const network = new Network(node, small)
    const { result: prevResult } = network.add("c")
    expect(network.check("c", { config: { prevResult } }).exitCode).toBe(0)
    rmSync(join(network.directory, "10.1.2.2"))
    network.put("10.1.2.3", "c\r\neth0")
    expect(network.check("c", { config: { prevResult } }).error).toMatchObject({
      code: 104,
      msg: expect.stringContaining("10.1.2.2 is not leased"),
    })
  })

  test("does not mind addresses of the result that lie outside our ranges", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("c")
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.1.2.2/29" }, { address: "172.16.0.9/24" }] }
    expect(network.check("c", { config: { prevResult } }).exitCode).toBe(0)
  })

  test("in a network that never was fails and makes no directory", () => {
    using node = new Node()
    const network = new Network(node, small)
    expect(network.check("c").error).toMatchObject({
      code: 104,
      msg: "host-local: Failed to find address added by container c",
    })
    expect(network.files()).toEqual({})
  })
})

describe("GC", () => {
  test("frees every lease whose attachment is not listed, and leaves all other files", () => {
    using node = new Node()
    const network = new Network(node, { subnet: "10.1.2.0/24" })
    for (const id of ["keep", "stale"]) network.add(id)
    network.add("keep", { ifname: "eth1" })
    network.put("10.1.2.20", "keep")
    network.put("10.1.2.21", "gone")
    network.put("10.1.2.22", "")
    network.put("notes", "stale\r\neth0")
    expect(network.gc([{ containerID: "keep", ifname: "eth0" }])).toMatchObject({ exitCode: 0, stdout: "" })
    expect(Object.keys(network.files())).toEqual(["10.1.2.2", "10.1.2.20", "last_reserved_ip.0", "lock", "notes"])
    expect(network.check("keep").exitCode).toBe(0)
    expect(network.lease("stale")).toBe("10.1.2.5")
  })

  test("with an empty list frees all, and names each on stderr and why", () => {
    using node = new Node()
    const network = new Network(node, { subnet: "10.1.2.0/24" })
    network.add("a")
    network.put("10.1.2.9", "multi\nline\u001b[0m")
    const { exitCode, stdout, stderr } = network.gc([])
    expect([exitCode, stdout, network.leases()]).toEqual([0, "", {}])
    const why = "not among the runtime's valid attachments"
    expect(stderr.split("\n").sort()).toEqual([
      "",
      `cni-ts host-local: removed lease 10.1.2.2 of "a\\r\\neth0": ${why}`,
      `cni-ts host-local: removed lease 10.1.2.9 of "multi\\nline\\u001b[0m": ${why}`,
    ])
    expect(network.gc([])).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
  })

  test("without a list frees the leases of pods that are certainly gone alone", () => {
    using node = new Node()
    const network = new Network(node, { subnet: "10.1.2.0/24" })
    network.lease("living", { netns: node.pod().path })
    {
      using gone = new Namespace(`${node.name}-gone`)
      network.lease("gone", { netns: gone.path })
    }
    network.lease("unknown")
    const notice =
      "cni-ts host-local: GC came without cni.dev/valid-attachments: only what is certainly gone is removed"
    const { exitCode, stderr } = node.call("host-local", network.call("GC", ""))
    expect(exitCode).toBe(0)
    expect(stderr).toContain(`${notice}\n`)
    expect(stderr).toContain('removed lease 10.1.2.3 of "gone\\r\\neth0": its network namespace ')
    expect(Object.values(network.leases())).toEqual(["living\r\neth0", "unknown\r\neth0"])
  })

  test("leaves other networks of the same data directory alone, and makes no directory", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("c", { config: { name: "other" } })
    expect(network.gc([]).exitCode).toBe(0)
    expect(network.files()).toEqual({})
    expect(network.check("c", { config: { name: "other" } }).exitCode).toBe(0)
  })
})

describe("STATUS", () => {
  test("is fine before the first ADD, and while every address is leased: the node keeps its running pods", () => {
    using node = new Node()
    const network = new Network(node, { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "10.1.3.0/30" }]] })
    expect(network.status()).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(network.files()).toEqual({})
    network.add("a")
    expect(network.add("b").error).toMatchObject({ code: 103 })
    const before = network.files()
    expect(network.status()).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(network.files()).toEqual(before)
  })

  test("does not wait for the lock while others hold it", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("a")
    const held = ["flock", join(network.directory, "lock")]
    expect(under(node, network.call("STATUS", ""), held)).toMatchObject({ exitCode: 0, stdout: "" })
  })

  test("refuses a broken configuration", () => {
    using node = new Node()
    expect(new Network(node, {}).status().error).toMatchObject({ code: 7, msg: "no IP ranges specified" })
  })
})
