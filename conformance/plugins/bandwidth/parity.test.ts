import { describe, expect, test } from "vitest"
import type { Implementation } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { readSysctls } from "../bridge/observed.ts"
import { type Config, filters, ifbs, LimitedPod, qdiscs } from "./limited.ts"

const M = 1e6
const both = (rate: number, burst: number) => ({
  ingressRate: rate,
  ingressBurst: burst,
  egressRate: rate,
  egressBurst: burst,
})

/** Limits that fit 32 bits the same way in both. */
const LIMITS: Readonly<Record<string, Config>> = {
  "the least there is": both(8, 8),
  "odd bits": both(16, 9),
  "a small burst": both(8000, 80),
  "two seconds of burst": both(8000, 16000),
  "10 Mbit/s from kubelet": both(10 * M, 2 ** 31 - 1),
  "100 Mbit/s from containerd": both(100 * M, 2 ** 32 - 1),
  "ingress alone": { ingressRate: 8000, ingressBurst: 80 },
  "egress alone": { egressRate: 8000, egressBurst: 80 },
  nothing: {},
}

/** Limits at which the Go plugin's numbers wrap around; ours hold the most there is. */
const WRAPPED: Readonly<Record<string, Config>> = {
  "10 Mbit/s from containerd": both(10 * M, 2 ** 32 - 1),
  "10 Mbit/s from CRI-O": both(10 * M, 8 * (2 ** 32 - 1) - 1),
  "100 Mbit/s from CRI-O": both(100 * M, 8 * (2 ** 32 - 1) - 1),
  "1 Pbit/s from containerd": both(1e15, 2 ** 32 - 1),
}

const IMPLEMENTATIONS = ["ours", "reference"] as const

function observed(implementation: Implementation, config: Config) {
  using node = new Node()
  const limited = new LimitedPod(node)
  const { result, stdout } = limited.call("ADD", config, { implementation })
  const [ifb = ""] = ifbs(node)
  const masked = (text: string) =>
    text
      .replaceAll(ifb || "no ifb", "IFB")
      .replaceAll(limited.pod.name, "POD")
      .replaceAll(/(?!02:00:00:00:00:11)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/g, "MAC")
  const state = {
    result: masked(stdout),
    ifb: ifb.length,
    link: ifb && { mtu: node.link(ifb)?.mtu, txqlen: node.link(ifb)?.["txqlen"], flags: node.link(ifb)?.flags },
    qdiscs: [qdiscs(node, "veth0"), ifb && qdiscs(node, ifb)],
    sysctls: [readSysctls(node, "veth0"), ifb && readSysctls(node, ifb).filter(counts)],
    filters: masked(filters(node, "veth0")).replace(/ action order 2: .* pass$/, ""),
  }
  expect(limited.del({ ...config, prevResult: result }, implementation)).toMatchObject({ exitCode: 0, stdout: "" })
  return { ...state, afterDel: [qdiscs(node, "veth0"), ifbs(node)] }
}

/** Ours makes no IPv6 address for an ifb, which receives nothing itself. */
function counts(line: string): boolean {
  return !line.startsWith("ipv6/conf/LINK/addr_gen_mode:")
}

describe.each(Object.entries(LIMITS))("%s", (_, limits) => {
  const config = { ...limits, egressMode: "ifb" }

  test("looks to tc and in the result as with the reference, after ADD and after DEL", () => {
    expect(observed("ours", config)).toEqual(observed("reference", config))
  })

  test.each(IMPLEMENTATIONS)("passes both CHECKs and either DEL when %s made it", (maker) => {
    for (const remover of IMPLEMENTATIONS) {
      using node = new Node()
      const limited = new LimitedPod(node)
      const result = limited.add(config, maker)
      for (const checker of IMPLEMENTATIONS) expect(limited.check(config, result, checker).stdout).toBe("")
      expect(limited.del(config, remover).stdout).toBe("")
      expect(ifbs(node)).toEqual([])
    }
  })
})

describe.each(Object.entries(WRAPPED))("%s, which wraps around in the reference", (_, limits) => {
  const config = { ...limits, egressMode: "ifb" }

  test("is held at the most there is, and the reference's pods pass CHECK", () => {
    using node = new Node()
    const ours = new LimitedPod(node)
    expect(ours.check(config, ours.add(config)).stdout).toBe("")
    const theirs = new LimitedPod(node, { veth: "veth1" })
    expect(theirs.check(config, theirs.add(config, "reference")).stdout).toBe("")
    const [held, wrapped] = ["veth0", "veth1"].map((link) => qdiscs(node, link)[0]?.options)
    const more = (key: "burst" | "lat") => (held?.[key] ?? 0) > (wrapped?.[key] ?? 0)
    expect(more("burst") || more("lat")).toBe(true)
    expect(ours.del(config, "reference").stdout).toBe("")
    expect(theirs.del(config).stdout).toBe("")
    expect(ifbs(node)).toEqual([])
  })
})

test.each(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])("version %s answers as the reference does", (cniVersion) => {
  const config = { ...both(8000, 80), egressMode: "ifb", cniVersion }
  const answers = IMPLEMENTATIONS.map((implementation) => {
    using node = new Node()
    const limited = new LimitedPod(node)
    const prevResult = { ...limited.prevResult, cniVersion }
    const { stdout, stderr } = limited.call("ADD", { ...config, prevResult }, { implementation })
    return (stdout + stderr).replaceAll(limited.pod.name, "POD").replaceAll(/"(mac|name)": "[^"]*"/g, "")
  })
  expect(answers[0]).toBe(answers[1])
})
