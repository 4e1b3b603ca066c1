import { expect, test } from "vitest"
import { Conflict } from "../net/conflict.ts"
import { KernelError } from "../netlink/kernel-error.ts"
import { readLink } from "../netlink/route/link.ts"
import { FakeNode } from "../testing/fake-node.ts"
import { refusalOf } from "../testing/refusal.ts"
import { checkMaster, findMaster, onSharedMaster } from "./master.ts"

const node = new FakeNode()
node.links.add({ name: "eth1", mtu: 1400 }, { name: "port", master: 2 }, { name: "net1", kind: "vlan", peer: 2 })
node.links.add({ name: "lo", index: 1 })
const onEth1 = { master: "eth1", mtu: 0, linkInContainer: false }
const link = (name: string) => {
  const found = readLink(node.rtnetlink, name)
  if (!found) throw new Error(`there is no ${name}`)
  return found
}

test("the master is found by its name", () => {
  expect(findMaster(node, onEth1)).toMatchObject({ name: "eth1", index: 2 })
  expect(findMaster(node, { ...onEth1, mtu: 1400 }).mtu).toBe(1400)
})

test.each([
  ["an MTU above the master's", { mtu: 1401 }, "mtu: invalid MTU 1401, must be [0, master MTU(1400)]"],
  ["a master that is not there", { master: "eth9" }, 'master: there is no interface "eth9" on the node'],
  ["the loopback", { master: "lo" }, 'master: interface "lo" is the loopback'],
  ["one that is not in the pod", { master: "eth9", linkInContainer: true }, 'no interface "eth9" in the pod'],
])("%s is refused", (_, config, message) => {
  expect(refusalOf(() => findMaster(node, { ...onEth1, ...config }))).toEqual([7, expect.stringContaining(message)])
})

test("CHECK compares the master if the configuration names one", () => {
  checkMaster(node, onEth1, link("net1"))
  checkMaster(node, { ...onEth1, master: "" }, link("net1"))
  checkMaster(node, { ...onEth1, mtu: 9000 }, link("net1")) // the master's may have become less since
  const moved = refusalOf(() => checkMaster(node, { ...onEth1, master: "port" }, link("net1")))
  expect(moved).toEqual([104, "net1 is not on port"])
})

test("a master whose packets go elsewhere is a Conflict that says so; any other refusal is the kernel's", () => {
  const refusing = (errno: "EBUSY" | "EEXIST", name: string) => () =>
    onSharedMaster("ipvlan", link(name), () => {
      throw new KernelError(errno, "create ipvlan x")
    })
  expect(refusing("EBUSY", "eth1")).toThrow('no ipvlan can be on interface "eth1": links of another kind are')
  expect(refusing("EBUSY", "port")).toThrow('no ipvlan can be on interface "port": it is a port of a bridge or bond')
  expect(refusing("EBUSY", "eth1")).toThrow(Conflict)
  expect(refusing("EEXIST", "eth1")).toThrow(KernelError)
})
