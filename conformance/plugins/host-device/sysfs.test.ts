import { mkdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, type Outcome, outcome, type Result, stdin } from "../../lab/call.ts"
import { binDirectory, type Implementation } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import type { Config } from "../bridge/network.ts"
import { mask } from "../bridge/observed.ts"
import { isBack, MAC, plugInDevice } from "./network.ts"

const QUIET = { exitCode: 0, stdout: "" }
const ROOT = "devices/pci0000:00"

/** Devices as sysfs shows them: where each is, its bus, its driver, and the directories in it. */
const DEVICES: Readonly<Record<string, { bus: string; driver: string; holds: readonly string[] }>> = {
  "0000:00:01.0": { bus: "pci", driver: "ixgbe", holds: ["net/uplink"] },
  "0000:00:02.0": { bus: "pci", driver: "virtio-pci", holds: ["virtio1/net/uplink", "virtio2/net/other"] },
  "0000:00:03.0": { bus: "pci", driver: "vfio-pci", holds: [] },
  "0000:00:04.0": { bus: "pci", driver: "uio_pci_generic", holds: [] },
  "0000:00:05.0": { bus: "pci", driver: "igb_uio", holds: [] },
  "0000:00:06.0": { bus: "pci", driver: "mlx4", holds: ["net/zz", "net/uplink"] },
  "0000:00:07.0": { bus: "pci", driver: "ixgbe", holds: [] },
  "mlx5_core.sf.4": { bus: "auxiliary", driver: "mlx5_core.sf", holds: ["net/uplink"] },
}

/** Makes a directory that can stand for /sys, with these devices. */
function makeSysfs(node: Node): string {
  const sys = join(node.dir, "sys")
  const make = (path: string) => mkdirSync(join(sys, path), { recursive: true })
  for (const [name, { bus, driver, holds }] of Object.entries(DEVICES)) {
    for (const path of holds) make(`${ROOT}/${name}/${path}`)
    for (const path of [`${ROOT}/${name}`, `bus/${bus}/devices`, `bus/${bus}/drivers/${driver}`]) make(path)
    symlinkSync(`../../../${ROOT}/${name}`, join(sys, `bus/${bus}/devices/${name}`))
    symlinkSync(`../../../../${ROOT}/${name}`, join(sys, `bus/${bus}/drivers/${driver}/${name}`))
    symlinkSync(`../../../bus/${bus}/drivers/${driver}`, join(sys, `${ROOT}/${name}/driver`))
  }
  return sys
}

/** Calls host-device on a node where /sys is that directory. */
function call(node: Node, pod: Pod, command: string, keys: Config, implementation: Implementation = "ours"): Outcome {
  const config = { cniVersion: "1.0.0", name: "net", type: "host-device", ...keys }
  const said = { command, netns: pod, implementation, config }
  const script = 'mount --bind "$0" /sys && exec "$@"'
  const program = [join(node.dir, "sys"), join(binDirectory(implementation), "host-device")]
  const argv = node.inside(["unshare", "-m", "sh", "-c", script, ...program])
  return outcome(run(argv, { env: environment(said), stdin: stdin(said) }))
}

function scene(): { node: Node; pod: Pod } {
  const node = new Node()
  plugInDevice(node)
  makeSysfs(node)
  return { node, pod: node.pod() }
}

const FOUND: Readonly<Record<string, Config>> = {
  "by its PCI address": { pciBusID: "0000:00:01.0" },
  "by its PCI address, behind virtio": { pciBusID: "0000:00:02.0" },
  "by its PCI address, the first by name of two": { pciBusID: "0000:00:06.0" },
  "by its path": { kernelpath: `/sys/${ROOT}/0000:00:01.0` },
  "by the runtime's deviceID, a PCI address": { runtimeConfig: { deviceID: "0000:00:01.0" } },
  "by the runtime's deviceID before pciBusID": {
    pciBusID: "0000:00:03.0",
    runtimeConfig: { deviceID: "0000:00:01.0" },
  },
  "by the runtime's deviceID, on the auxiliary bus": { runtimeConfig: { deviceID: "mlx5_core.sf.4" } },
  "by the runtime's deviceID, on the auxiliary bus, before pciBusID": {
    pciBusID: "0000:00:03.0",
    runtimeConfig: { deviceID: "mlx5_core.sf.4" },
  },
}

test.each(Object.entries(FOUND))("a device is found %s, as by the reference", (_, keys) => {
  const { node: made, pod } = scene()
  using node = made
  for (const implementation of ["reference", "ours"] as const) {
    const added = call(node, pod, "ADD", keys, implementation)
    expect(added.result).toMatchObject({ interfaces: [{ name: "eth0", mac: MAC, sandbox: pod.path }] })
    expect(pod.link("eth0")).toMatchObject({ address: MAC, ifalias: "uplink" })
    const prevResult = added.result as Result
    expect(call(node, pod, "CHECK", { ...keys, prevResult }, implementation)).toMatchObject(QUIET)
    expect(call(node, pod, "DEL", { ...keys, prevResult }, implementation)).toMatchObject(QUIET)
    expect(isBack(node)).toBe(true)
  }
})

describe("a device that a program drives stays where it is, and the result is the reference's", () => {
  const ipam = { type: "static", addresses: [{ address: "10.1.2.3/24", gateway: "10.1.2.1" }] }
  const cases: Readonly<Record<string, Config>> = {
    "vfio-pci": { pciBusID: "0000:00:03.0" },
    uio_pci_generic: { pciBusID: "0000:00:04.0" },
    igb_uio: { pciBusID: "0000:00:05.0" },
    "vfio-pci, with IPAM": { pciBusID: "0000:00:03.0", ipam },
    "vfio-pci, with IPAM and dns": { pciBusID: "0000:00:03.0", ipam, dns: { nameservers: ["10.0.0.10"] } },
    "vfio-pci, by the runtime's deviceID": { runtimeConfig: { deviceID: "0000:00:03.0" } },
  }

  test.each(Object.entries(cases))("%s", (_, keys) => {
    const { node: made, pod } = scene()
    using node = made
    const printed = (["reference", "ours"] as const).map((implementation) => {
      const added = call(node, pod, "ADD", keys, implementation)
      const prevResult = added.result as Result
      expect(call(node, pod, "CHECK", { ...keys, prevResult }, implementation)).toMatchObject(QUIET)
      expect(pod.ip("link", "show")).toHaveLength(1)
      expect(call(node, pod, "DEL", { ...keys, prevResult }, implementation)).toMatchObject(QUIET)
      return mask(added.stdout, pod.path)
    })
    expect(printed[1]).toBe(printed[0])
    expect(isBack(node)).toBe(true)
  })
})

test("a PCI device without interface, as one that is in a pod, is refused; STATUS finds it there", () => {
  const { node: made, pod } = scene()
  using node = made
  const keys = { cniVersion: "1.1.0", pciBusID: "0000:00:07.0" }
  const msg = expect.stringContaining('none with pciBusID "0000:00:07.0"')
  expect(call(node, pod, "ADD", keys).error).toMatchObject({ code: 7, msg })
  const status = (named: Config) => call(node, pod, "STATUS", { ...keys, pciBusID: undefined, ...named })
  const kernelpath = `/sys/${ROOT}/0000:00:07.0`
  const there = [{ pciBusID: "0000:00:07.0" }, { pciBusID: "0000:00:03.0" }, { kernelpath }]
  for (const named of there) expect(status(named)).toMatchObject(QUIET)
  const nowhere = [{ pciBusID: "0000:99:00.0" }, { kernelpath: `${kernelpath}9` }]
  for (const named of nowhere) expect(status(named).error?.code).toBe(50)
  expect(call(node, pod, "DEL", keys)).toMatchObject(QUIET)
})

test("a PCI device that the kernel gave back as dev7 gets its name by GC", () => {
  const { node: made, pod } = scene()
  using node = made
  node.ip("link", "set", "uplink", "name", "dev7", "alias", "uplink")
  mkdirSync(join(node.dir, "sys", ROOT, "0000:00:07.0/net/dev7"), { recursive: true })
  const keys = { cniVersion: "1.1.0", pciBusID: "0000:00:07.0" }
  expect(call(node, pod, "GC", { ...keys, "cni.dev/valid-attachments": [] })).toMatchObject(QUIET)
  expect(isBack(node)).toBe(true)
})
