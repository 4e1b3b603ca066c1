import { describe, expect, test } from "vitest"
import { Conflict } from "../../lib/net/conflict.ts"
import { decodeLink } from "../../lib/netlink/route/link.ts"
import { decodePortVlans } from "../../lib/netlink/route/port-vlan.ts"
import { Writer } from "../../lib/netlink/writer.ts"
import { agreed, EEXIST, FakeStack, found, linkMessage, nothing, refused } from "../../lib/testing/fake-stack.ts"
import { ensureGatewayInterface, setPortVlans } from "./vlan.ts"

/** RTM_NEWLINK of the bridge family, with `[flags, id]` of each VLAN. */
function portMessage(index: number, vlans: readonly (readonly [number, number])[]): Uint8Array {
  const writer = new Writer().u32(7).u32(index).u32(0).u32(0)
  writer.u16(4 + 8 * vlans.length).u16(26)
  for (const [flags, id] of vlans) writer.u16(8).u16(2).u16(flags).u16(id)
  return writer.bytes
}

const vlansIn = (body: Uint8Array | undefined) =>
  decodePortVlans({ type: 16, flags: 0, sequence: 1, payload: body ?? new Uint8Array() }).map(
    ({ id, pvid, untagged }) => `${id}${pvid ? " pvid" : ""}${untagged ? " untagged" : ""}`,
  )

describe("a port's VLANs", () => {
  const port = (...vlans: (readonly [number, number])[]) =>
    new FakeStack({ GETLINK: [found(16, portMessage(3, vlans))] })

  test("are left alone if none is asked for", () => {
    const stack = port([6, 1])
    setPortVlans(stack.rtnetlink, 3, { vlan: 0, trunk: [], keepDefault: false })
    expect(stack.log).toEqual([])
  })

  test("replace what the bridge gave the port", () => {
    const stack = port([6, 1])
    setPortVlans(stack.rtnetlink, 3, { vlan: 100, trunk: [], keepDefault: false })
    expect(stack.log).toEqual(["GETLINK", "DELLINK", "SETLINK"])
    expect(vlansIn(stack.bodies("DELLINK")[0])).toEqual(["1 pvid untagged"])
    expect(vlansIn(stack.bodies("SETLINK")[0])).toEqual(["100 pvid untagged"])
  })

  test("of another port are not removed", () => {
    const stack = new FakeStack({ GETLINK: [found(16, portMessage(4, [[6, 1]]))] })
    setPortVlans(stack.rtnetlink, 3, { vlan: 100, trunk: [], keepDefault: false })
    expect(stack.log).toEqual(["GETLINK", "SETLINK"])
  })

  test("are added to those that the bridge gave the port if they are to be kept", () => {
    const stack = port([6, 1])
    setPortVlans(stack.rtnetlink, 3, { vlan: 100, trunk: [], keepDefault: true })
    expect(stack.log).toEqual(["SETLINK"])
  })

  test("of a trunk are tagged, and VLAN 1 is native without another", () => {
    const stack = port()
    setPortVlans(stack.rtnetlink, 3, { vlan: 0, trunk: [101, 200], keepDefault: false })
    expect(vlansIn(stack.bodies("SETLINK")[0])).toEqual(["101", "200", "1 pvid untagged"])
  })

  test("of a trunk leave the port's own VLAN untagged, also when the trunk names it", () => {
    const stack = port()
    setPortVlans(stack.rtnetlink, 3, { vlan: 101, trunk: [101, 200], keepDefault: false })
    expect(vlansIn(stack.bodies("SETLINK")[0]).at(-1)).toBe("101 pvid untagged")
  })
})

describe("the gateway's interface in a VLAN", () => {
  const bridge = decodeLink({ type: 16, flags: 0, sequence: 1, payload: linkMessage({ index: 2, name: "cni0" }) })
  const link = found(16, linkMessage({ index: 5, name: "cni0.100", kind: "veth", peer: 4 }))
  const port = found(16, linkMessage({ index: 4, name: "veth1", kind: "veth", peer: 5, master: 2 }))
  const vlan100 = found(16, portMessage(4, [[6, 100]]))
  const vlan1 = found(16, portMessage(4, [[6, 1]]))

  test("that is there, up and in its VLAN is taken as it is", () => {
    const stack = new FakeStack({ GETLINK: [link, port, vlan100] })
    expect(ensureGatewayInterface(stack, bridge, 100, false).index).toBe(5)
    expect(stack.log).toEqual(["GETLINK", "GETLINK", "GETLINK"])
  })

  test("that is missing is made, put into its VLAN and set up, both ends", () => {
    const down = (index: number, rest: object) =>
      found(16, linkMessage({ index, name: `x${index}`, kind: "veth", up: false, ...rest }))
    const GETLINK = [nothing, down(5, { peer: 4 }), down(4, { master: 2 }), vlan1, vlan1]
    const stack = new FakeStack({ GETLINK })
    ensureGatewayInterface(stack, bridge, 100, false)
    expect(stack.log).toEqual([
      ...["GETLINK", "NEWLINK", "GETLINK", "GETLINK"],
      ...["GETLINK", "GETLINK", "DELLINK", "SETLINK"],
      ...["NEWLINK", "NEWLINK"],
    ])
  })

  test("that another ADD makes at the same moment is taken", () => {
    const stack = new FakeStack({ GETLINK: [nothing, link, port, vlan100], NEWLINK: [refused(EEXIST), agreed] })
    expect(ensureGatewayInterface(stack, bridge, 100, false).index).toBe(5)
  })

  test("that a killed ADD left without its VLAN is put into it", () => {
    const stack = new FakeStack({ GETLINK: [link, port, vlan1, vlan1] })
    ensureGatewayInterface(stack, bridge, 100, false)
    expect(vlansIn(stack.bodies("SETLINK")[0])).toEqual(["100 pvid untagged"])
  })

  test.each([
    ["is no veth", found(16, linkMessage({ index: 5, name: "cni0.100", kind: "vlan", peer: 2 })), port],
    ["leads to another bridge", link, found(16, linkMessage({ index: 4, name: "x", kind: "veth", master: 9 }))],
    ["leads into another namespace", link, nothing],
  ])("whose name belongs to something that %s is a Conflict, and nothing is changed", (_, first, second) => {
    const stack = new FakeStack({ GETLINK: [first, second, vlan100] })
    expect(() => ensureGatewayInterface(stack, bridge, 100, false)).toThrow(Conflict)
    expect(stack.log.filter((name) => name !== "GETLINK")).toEqual([])
  })
})
