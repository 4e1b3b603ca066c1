import { describe, expect, test } from "vitest"
import { matchConfig, readConfig } from "../../lib/cni/config.ts"
import { versions } from "../../lib/cni/version.ts"
import { formatMac } from "../../lib/ip/mac.ts"
import { readDataDir, readTuningConfig } from "./config.ts"

function network(config: object) {
  const text = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "tuning", ...config })
  return matchConfig(readConfig(new TextEncoder().encode(text)), versions)
}

const read = (config: object, args = "") => readTuningConfig(network(config), args)
const macOf = (config: object, args = "") => {
  const { mac } = read(config, args).settings
  return mac && formatMac(mac)
}

test("without keys nothing is asked for, and promisc false asks for nothing", () => {
  expect(read({ promisc: false, mtu: 0, allmulti: null })).toEqual({
    sysctls: [],
    settings: {},
    dataDir: "/run/cni/tuning",
  })
})

test("all settings are read", () => {
  const config = { mac: "02-00-00-00-00-0A", mtu: 1400, promisc: true, allmulti: false, txQLen: 0, dataDir: "/x" }
  expect(read(config)).toMatchObject({
    dataDir: "/x",
    settings: { mtu: 1400, promiscuous: true, allMulticast: false, transmitQueueLength: 0 },
  })
  expect(macOf(config)).toBe("02:00:00:00:00:0a")
})

test("the MAC address is args', else the runtime's, else that of CNI_ARGS, else the network's", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((digit) => `02:00:00:00:00:0${digit}`)
  const all = { mac: d, runtimeConfig: { mac: b }, args: { cni: { mac: a } } }
  expect(macOf(all, `MAC=${c}`)).toBe(a)
  expect(macOf({ ...all, args: { cni: { mac: "" } } }, `MAC=${c}`)).toBeUndefined()
  expect(macOf({ ...all, args: {} }, `MAC=${c}`)).toBe(b)
  expect(macOf({ mac: d }, `MAC=${c}`)).toBe(c)
  expect(macOf({ mac: d }, "IgnoreUnknown=1;K8S_POD_NAME=x")).toBe(d)
})

test("args go before the network's settings, and add to its sysctls, also if it has none", () => {
  const cni = { mtu: 1300, promisc: false, allmulti: true, txQLen: 7, sysctl: { "net.a.b": "2", "net.a.c": "3" } }
  const config = { mtu: 1400, promisc: true, allmulti: false, txQLen: 1, sysctl: { "net.a.b": "1" }, args: { cni } }
  const { settings, sysctls } = read(config)
  expect(settings).toEqual({ mtu: 1300, allMulticast: true, transmitQueueLength: 7 })
  const values = sysctls.map(({ key, value, field }) => [key, value, field])
  expect(values).toEqual([
    ["net.a.b", "2", "args.cni.sysctl.net.a.b"],
    ["net.a.c", "3", "args.cni.sysctl.net.a.c"],
  ])
  expect(read({ args: { cni } }).sysctls).toHaveLength(2)
})

describe("refused, naming the key:", () => {
  test.each<[object, string, number]>([
    [{ sysctl: { "net/../kernel/x": "1" } }, "sysctl.net/../kernel/x: invalid net sysctl key", 7],
    [{ args: { cni: { sysctl: { "kernel.x": "1" } } } }, "args.cni.sysctl.kernel.x: invalid net sysctl key", 7],
    [{ sysctl: { "net.a.b": 1 } }, "sysctl.net.a.b: expected a string, got the number 1", 6],
    [{ sysctl: ["net.a.b"] }, "sysctl: expected an object", 6],
    [{ mac: "x" }, 'mac: "x" is not a MAC address', 7],
    [{ runtimeConfig: { mac: "01:00:00:00:00:00" } }, "runtimeConfig.mac: ", 7],
    [{ args: { cni: { mac: "00:00:00:00:00:00" } } }, "args.cni.mac: ", 7],
    [{ mtu: 67 }, "mtu: 67 is not between 68 and 65535", 7],
    [{ args: { cni: { mtu: -1 } } }, "args.cni.mtu: -1 is not between", 7],
    [{ promisc: 1 }, "promisc: expected true or false", 6],
    [{ allmulti: "yes" }, "allmulti: expected true or false", 6],
    [{ txQLen: -1 }, "txQLen: -1 is not between", 7],
    [{ dataDir: 1 }, "dataDir: expected a string", 6],
  ])("%j", (config, message, code) => {
    expect(() => read(config)).toThrow(expect.objectContaining({ message: expect.stringContaining(message), code }))
  })

  test("CNI_ARGS", () => {
    expect(() => read({}, "MAC=x")).toThrow('CNI_ARGS MAC: "x" is not a MAC address')
    expect(() => read({}, "K8S_POD_NAME=x")).toThrow("unknown args")
  })
})

test("DEL takes a data directory that makes no sense for none", () => {
  expect([{ dataDir: 1.5 }, { dataDir: {} }, {}].map((config) => readDataDir(network(config)))).toEqual(
    Array(3).fill("/run/cni/tuning"),
  )
  expect(readDataDir(network({ dataDir: "/x" }))).toBe("/x")
})
