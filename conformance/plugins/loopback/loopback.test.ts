import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import type { Call, Result } from "../../lab/call.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { snapshot } from "../../lab/snapshot.ts"

const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
const QUIET = { exitCode: 0, stdout: "", stderr: "" }

const node = new Node()
const bare = new Node() // without pods, for snapshots
afterAll(() => {
  node[Symbol.dispose]()
  bare[Symbol.dispose]()
})

function ask(command: string, netns: Call["netns"], config: object = {}, more: Partial<Call> = {}, on = node) {
  const whole = { cniVersion: "1.1.0", name: "lo", type: "loopback", ...config }
  return on.call("loopback", { command, netns, ifname: "lo", ...more, config: whole })
}

function askBare(command: string, netns: string | undefined) {
  return ask(command, netns, {}, { containerId: "c" }, bare)
}

function isUp(pod: Pod): boolean {
  return pod.link("lo")?.flags?.includes("UP") ?? false
}

describe.each(VERSIONS)("loopback at %s", (cniVersion) => {
  test("ADD sets lo up and prints one result of that version, DEL leaves it down and prints nothing", () => {
    const pod = node.pod()
    const added = ask("ADD", pod, { cniVersion })
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    expect(added.result).toEqual(expected(cniVersion, pod))
    expect(Object.keys(added.result ?? {})).toEqual(Object.keys(expected(cniVersion, pod)))
    expect(isUp(pod)).toBe(true)
    expect(pod.pings("127.0.0.1")).toBe(true)
    for (const time of ["first", "second"]) {
      expect(ask("DEL", pod, { cniVersion }), time).toMatchObject(QUIET)
      expect(isUp(pod), time).toBe(false)
    }
  })

  test("CHECK succeeds with lo up and fails with lo down", () => {
    const pod = node.pod()
    const prevResult = ask("ADD", pod, { cniVersion }).result
    const check = () => ask("CHECK", pod, { cniVersion, prevResult })
    if (cniVersion < "0.4.0") {
      expect(check().error).toMatchObject({ code: 1, msg: "config version does not allow CHECK" })
      return
    }
    expect(check()).toMatchObject(QUIET)
    output(pod.inside(["ip", "link", "set", "lo", "down"]))
    expect(check().error).toMatchObject({ cniVersion, code: 104, msg: "loopback interface is down" })
  })

  test("the result of the plugins before it is printed unchanged", () => {
    const pod = node.pod()
    const prevResult = { ...expected(cniVersion, pod), dns: { nameservers: ["10.0.0.10"] } }
    expect(ask("ADD", pod, { cniVersion, prevResult }).result).toEqual(prevResult)
    expect(isUp(pod)).toBe(true)
  })
})

function expected(cniVersion: string, pod: Pod): Result {
  const [v4, v6] = ["127.0.0.1/8", "::1/128"]
  if (cniVersion < "0.3.0") return { cniVersion, ip4: { ip: v4 }, ip6: { ip: v6 }, dns: {} }
  const is1 = cniVersion >= "1.0.0"
  const ip = (version: string, address: string) => ({ ...(is1 ? {} : { version }), interface: 0, address })
  const interfaces = [{ name: "lo", mac: "00:00:00:00:00:00", sandbox: pod.path }]
  return { cniVersion, interfaces, ips: [ip("4", v4), ip("6", v6)], ...(is1 ? {} : { dns: {} }) }
}

test.each(VERSIONS.filter((version) => version >= "1.0.0"))(
  "at %s the reference prints the same bytes",
  (cniVersion) => {
    const pod = node.pod()
    const ours = ask("ADD", pod, { cniVersion })
    expect(ours.exitCode).toBe(0)
    expect(ask("ADD", pod, { cniVersion }, { implementation: "reference" }).stdout).toBe(ours.stdout)
  },
)

test("a pod without IPv6 has the IPv4 address only", () => {
  const pod = node.pod()
  for (const name of ["all", "lo"]) pod.sysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1")
  expect(ask("ADD", pod).result?.ips).toEqual([{ address: "127.0.0.1/8", interface: 0 }])
})

test.each(["none", "a=b", "=;="])("CNI_ARGS %j is ignored", (args) => {
  const pod = node.pod()
  expect(ask("ADD", pod, {}, { args }).exitCode).toBe(0)
  expect(isUp(pod)).toBe(true)
})

test("CNI_IFNAME is ignored: it is always lo", () => {
  const pod = node.pod()
  expect(ask("ADD", pod, {}, { ifname: "eth0" }).result?.interfaces?.[0]?.name).toBe("lo")
  expect(isUp(pod)).toBe(true)
})

test("ADD fails where lo has an address that is not a loopback address", () => {
  const pod = node.pod()
  output(pod.inside(["ip", "addr", "add", "198.51.100.1/32", "dev", "lo"]))
  const { error } = ask("ADD", pod)
  const msg = 'loopback interface found with non-loopback address "198.51.100.1/32"'
  expect(error).toMatchObject({ code: 102, msg })
  expect(isUp(pod)).toBe(false)
})

test("GC and STATUS have nothing to do and succeed", () => {
  const before = snapshot(bare)
  for (const command of ["GC", "STATUS"]) expect(askBare(command, undefined)).toMatchObject(QUIET)
  expect(snapshot(bare)).toEqual(before)
})

describe("a netns that is none", () => {
  const plainFile = join(bare.dir, "file")
  writeFileSync(plainFile, "")

  test.each([
    ["missing", "/run/netns/cnits-missing"],
    ["a plain file", plainFile],
    ["a directory", bare.dir],
    ["a device", "/dev/null"],
    ["another kind of namespace", "/proc/self/ns/mnt"],
    ["the host's own", bare.path],
  ])("%s is refused by ADD and CHECK", (_, netns) => {
    const before = snapshot(bare)
    for (const command of ["ADD", "CHECK"]) {
      if (command === "CHECK" && netns === bare.path) continue // the host's lo is up
      expect(askBare(command, netns), command).toMatchObject({ exitCode: 1, stderr: "", error: { code: 8 } })
    }
    expect(snapshot(bare)).toEqual(before)
  })

  test.each([
    ["missing", "/run/netns/cnits-missing"],
    ["not given", undefined],
    ["empty", ""],
    ["a plain file", plainFile],
  ])("%s is no obstacle to DEL", (_, netns) => {
    expect(askBare("DEL", netns)).toMatchObject(QUIET)
  })

  test("the host's own is refused by DEL, whose lo stays up", () => {
    expect(askBare("DEL", bare.path)).toMatchObject({ exitCode: 1, error: { code: 8 } })
    expect(bare.link("lo")?.flags).toContain("UP")
  })
})
