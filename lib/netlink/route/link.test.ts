import { describe, expect, test } from "vitest"
import { parseMac } from "../../ip/mac.ts"
import { requestTree, type Shape } from "../../testing/attribute-tree.ts"
import { acknowledge, done, FakeKernel, part, refuse, replay, requestOf } from "../../testing/fake-kernel.ts"
import { recorded } from "../../testing/recorded.ts"
import type { Conversation } from "../conversation.ts"
import { decodeMessages } from "../message.ts"
import { changeLink, decodeLink, type Link, listLinks, readLink, removeLink } from "./link.ts"
import {
  createBridge,
  createDummy,
  createIpvlan,
  createMacvlan,
  createVeth,
  createVlan,
  createVrf,
} from "./new-link.ts"
import { addPortVlans, readPortVlans, removePortVlans } from "./port-vlan.ts"

const mac = (text: string) => parseMac(text) ?? new Uint8Array()
const bridgeMac = mac("02:00:00:00:00:01")
const vethMac = mac("02:00:00:00:00:02")
const podMac = mac("02:00:00:00:00:03")

/** IFLA_IFNAME, IFLA_LINKINFO and within it kind, data, port kind and port data. */
const linkShape: Shape = {
  header: 16,
  nested: { 3: "text", 18: { nested: { 1: "text", 2: { nested: {} }, 4: "text", 5: { nested: {} } } }, 20: "text" },
}
const peerShape: Shape = { header: 16, nested: { 3: "text" } }
const vethShape: Shape = {
  header: 16,
  nested: { 3: "text", 18: { nested: { 1: "text", 2: { nested: { 1: peerShape } } } } },
}
const vlanShape: Shape = { header: 16, nested: { 26: { nested: {} } } }

describe("requests say what iproute2 says", () => {
  test("to make a bridge", () => {
    const command = "ip link add cni0 address 02:00:00:00:00:01 mtu 1450 type bridge vlan_filtering 1"
    const wish = { name: "cni0", mac: bridgeMac, mtu: 1450, vlanFiltering: true }
    const ours = requestOf((kernel) => createBridge(kernel, wish))
    expect(requestTree(ours, linkShape)).toEqual(requestTree(recorded(command).request, linkShape))
  })

  test("to make a veth pair across namespaces, one end a port of a bridge", () => {
    const command =
      "ip link add veth0 address 02:00:00:00:00:02 mtu 1450 master cni0 type veth peer name eth0 address 02:00:00:00:00:03 mtu 1450 netns pod"
    const theirs = requestTree(recorded(command).request, vethShape)
    const namespace = 4 // the descriptor that ip happened to get
    const ours = requestOf((kernel) =>
      createVeth(kernel, {
        name: "veth0",
        mac: vethMac,
        mtu: 1450,
        master: 2,
        peer: { name: "eth0", mac: podMac, mtu: 1450, namespace },
      }),
    )
    expect(requestTree(ours, vethShape)).toEqual(theirs)
  })

  test.each([
    [
      "ip link add link cni0 name up0 mtu 1400 netns pod type ipvlan mode l3",
      (kernel: Conversation) => createIpvlan(kernel, { name: "up0", on: 2, mtu: 1400, mode: "l3", namespace: 4 }),
    ],
    [
      "ip link add link cni0 name up1 type vlan id 100",
      (kernel: Conversation) => createVlan(kernel, { name: "up1", on: 2, mtu: 0, id: 100 }),
    ],
    [
      "ip link add name made0 mtu 1400 type dummy",
      (kernel: Conversation) => createDummy(kernel, { name: "made0", mtu: 1400 }),
    ],
    [
      "ip link add name vrf0 type vrf table 100",
      (kernel: Conversation) => createVrf(kernel, { name: "vrf0", table: 100 }),
    ],
  ])("to make a link: %s", (command, create) => {
    expect(requestTree(requestOf(create), linkShape)).toEqual(requestTree(recorded(command).request, linkShape))
  })

  test.each([
    ["ip link set cni0 up", 2, { up: true }],
    ["ip link set cni0 promisc on", 2, { promiscuous: true }],
    ["ip link set cni0 mtu 1400", 2, { mtu: 1400 }],
    ["ip link set cni0 type bridge vlan_filtering 0", 2, { vlanFiltering: false }],
    ["ip link set cni0 type bridge vlan_filtering 1", 2, { vlanFiltering: true }],
    ["ip link set cni0 address 02:00:00:00:00:01", 2, { mac: bridgeMac }],
    ["ip link set veth0 up", 3, { up: true }],
    ["ip link set veth0 alias podnet", 3, { alias: "podnet" }],
    ["ip link set made0 netns pod name eth1 alias made0", 2, { namespace: 4, name: "eth1", alias: "made0" }],
  ])("to change a link: %s", (command, index, change) => {
    const ours = requestOf((kernel) => changeLink(kernel, index, "x", change))
    expect(requestTree(ours, linkShape)).toEqual(requestTree(recorded(command).request, linkShape))
  })

  test.each([
    ["bridge vlan add dev veth0 vid 100 pvid untagged master", addPortVlans, { id: 100, pvid: true, untagged: true }],
    ["bridge vlan add dev veth0 vid 200 master", addPortVlans, { id: 200, pvid: false, untagged: false }],
    ["bridge vlan del dev veth0 vid 1 master", removePortVlans, { id: 1, pvid: false, untagged: false }],
  ])("to change a port's VLANs: %s", (command, change, vlan) => {
    const ours = requestOf((kernel) => change(kernel, 3, [vlan]))
    expect(requestTree(ours, vlanShape)).toEqual(requestTree(recorded(command).request, vlanShape))
  })

  test("to change a port's settings, save that we name the kind of its master instead of inventing one for the port", () => {
    const ours = requestTree(
      requestOf((kernel) => changeLink(kernel, 3, "x", { hairpin: true, isolated: true })),
      linkShape,
    )
    const command = "ip link set veth0 type bridge_slave hairpin on isolated on"
    const { 18: info, ...rest } = requestTree(recorded(command).request, linkShape)
    expect(info).toEqual({ 1: "bridge_slave", 5: { 4: "01", 33: "01" } })
    expect(ours).toEqual({ ...rest, 18: { 4: "bridge", 5: { 4: "01", 33: "01" } } })
  })

  test("to delete a link", () => {
    const ours = requestOf((kernel) => removeLink(kernel, 3))
    expect(requestTree(ours, linkShape)).toEqual(requestTree(recorded("ip link del veth0").request, linkShape))
  })
})

test("switching something off is not the same as leaving it", () => {
  const tree = (change: Parameters<typeof changeLink>[3]) =>
    requestTree(
      requestOf((kernel) => changeLink(kernel, 3, "x", change)),
      linkShape,
    )
  expect(tree({ up: false })).toMatchObject({ header: expect.stringMatching(/0000000001000000$/) })
  expect(tree({ promiscuous: false })).toMatchObject({ header: expect.stringMatching(/0000000000010000$/) })
  expect(tree({ allMulticast: false })).toMatchObject({ header: expect.stringMatching(/0000000000020000$/) })
  expect(tree({ transmitQueueLength: 0 })).toMatchObject({ 13: "00000000" })
  expect(tree({ hairpin: false })).toMatchObject({ 18: { 4: "bridge", 5: { 4: "00" } } })
  expect(tree({ mtu: 1400 })).toMatchObject({ header: expect.stringMatching(/0000000000000000$/) })
})

test("every VLAN a trunk can have fits one request", () => {
  const vlans = Array.from({ length: 4094 }, (_, index) => ({ id: index + 1, pvid: false, untagged: false }))
  const tree = requestTree(
    requestOf((kernel) => addPortVlans(kernel, 3, vlans)),
    vlanShape,
  )
  expect(tree).toMatchObject({ 26: { 2: expect.objectContaining({ length: 4094 }) } })
})

/** The output of `ip -d -j link`, in our terms. */
function asPrinted(shown: {
  [key: string]: unknown
  flags: string[]
  linkinfo?: { info_kind?: string; info_data?: Record<string, number>; info_slave_data?: Record<string, boolean> }
}) {
  const { linkinfo } = shown
  const port = linkinfo?.info_slave_data
  return {
    index: shown["ifindex"],
    name: shown["ifname"],
    mac: mac(String(shown["address"])),
    mtu: shown["mtu"],
    up: shown.flags.includes("UP"),
    carrier: shown.flags.includes("LOWER_UP"),
    promiscuous: shown.flags.includes("PROMISC"),
    allMulticast: shown.flags.includes("ALLMULTI"),
    transmitQueueLength: shown["txqlen"] ?? 0,
    operstate: String(shown["operstate"]).toLowerCase(),
    promiscuity: shown["promiscuity"],
    kind: linkinfo?.info_kind ?? "",
    alias: shown["ifalias"] ?? "",
    peer: shown["link_index"] ?? 0,
    peerNamespace: shown["link_netnsid"],
    vlanFiltering: linkinfo?.info_kind === "bridge" ? linkinfo.info_data?.["vlan_filtering"] === 1 : undefined,
    defaultVlan: linkinfo?.info_data?.["vlan_default_pvid"],
    acceptRa: linkinfo?.info_kind === "bridge" ? 1 : undefined,
    port: port && { hairpin: port["hairpin"], isolated: port["isolated"] },
  }
}

describe("replies mean what ip printed", () => {
  const linksIn = (command: string): Link[] =>
    recorded(command)
      .replies.flatMap(decodeMessages)
      .filter(({ type, flags }) => type === 16 && (flags & 2) !== 0)
      .map(decodeLink)

  test.each(["ip -d -j link show", "ip -d -j link show master cni0", "ip -n pod -d -j link show"])("%s", (command) => {
    const printed = recorded(command).output.map(asPrinted)
    expect(printed.length).toBeGreaterThan(0)
    expect(linksIn(command).map(({ master: _, ...link }) => link)).toEqual(printed)
  })

  test("the recording shows what matters: a bridge with VLANs, its port with every setting, both ends of a veth", () => {
    const [lo, bridge, veth] = linksIn("ip -d -j link show")
    const [, eth0] = linksIn("ip -n pod -d -j link show")
    expect(lo).toMatchObject({ name: "lo", kind: "", master: 0, peer: 0, port: undefined, vlanFiltering: undefined })
    expect(bridge).toMatchObject({ kind: "bridge", vlanFiltering: true, defaultVlan: 1, promiscuous: true, mtu: 1400 })
    expect(veth).toMatchObject({
      kind: "veth",
      alias: "podnet",
      master: bridge?.index,
      peer: eth0?.index,
      operstate: "up",
      port: { hairpin: true, isolated: true },
    })
    expect(eth0).toMatchObject({ peer: veth?.index, operstate: "up", mac: podMac })
  })
})

describe("reading over the kernel", () => {
  const { replies } = recorded("ip -d -j link show")
  const dumped = replies.filter((reply) => decodeMessages(reply).every(({ type }) => type !== 2))

  test("a link that is not there is undefined, and so is none to delete", () => {
    const { conversation } = new FakeKernel((request) => [refuse(request, 19)])
    expect(readLink(conversation, "nosuch")).toBeUndefined()
    expect(removeLink(conversation, "nosuch")).toBe(false)
  })

  test("any other refusal is thrown", () => {
    const { conversation } = new FakeKernel((request) => [refuse(request, 1)])
    expect(() => readLink(conversation, "cni0")).toThrow("cannot read link cni0: EPERM")
    expect(() => removeLink(conversation, 3)).toThrow("cannot delete link 3: EPERM")
  })

  test("a dump interrupted halfway is read again, and every link comes once", () => {
    let attempts = 0
    const kernel = new FakeKernel((request) =>
      attempts++ === 0
        ? [...replay(request, dumped.slice(0, 1)), done(request, { interrupted: true })]
        : replay(request, dumped),
    )
    expect(listLinks(kernel.conversation).links.map(({ name }) => name)).toEqual(["lo", "cni0", "veth0"])
    expect(kernel.requests.length).toBe(2)
  })

  test("the ports of a bridge are its ports even where the kernel does not filter", () => {
    const kernel = new FakeKernel((request) => replay(request, dumped))
    const bridge = listLinks(kernel.conversation).links.find(({ name }) => name === "cni0")?.index ?? 0
    expect(listLinks(kernel.conversation, { master: bridge }).links.map(({ name }) => name)).toEqual(["veth0"])
  })

  test("the VLANs of a port are those bridge printed for it, and nobody else's", () => {
    const { replies: all, output } = recorded("bridge -j vlan show")
    const dump = all.slice(-2) // the others looked up names
    const { conversation } = new FakeKernel((request) => replay(request, dump))
    const printed = (index: number) =>
      output[index].vlans.map(({ vlan, flags = [] }: { vlan: number; flags?: string[] }) => ({
        id: vlan,
        pvid: flags.includes("PVID"),
        untagged: flags.includes("Egress Untagged"),
      }))
    expect(readPortVlans(conversation, 2)).toEqual(printed(0))
    expect(readPortVlans(conversation, 3)).toEqual(printed(1))
    expect(readPortVlans(conversation, 3)).toEqual([
      { id: 100, pvid: true, untagged: true },
      { id: 200, pvid: false, untagged: false },
    ])
    expect(readPortVlans(conversation, 4)).toEqual([])
  })

  test("an error names the link and what was to be changed", () => {
    const { conversation } = new FakeKernel((request) => [refuse(request, 22, "MTU too high")])
    expect(() => changeLink(conversation, 3, "veth0", { mtu: 70000, up: true })).toThrow(
      'cannot change link veth0 (mtu, up): EINVAL (invalid argument), kernel says "MTU too high"',
    )
    expect(() => addPortVlans(conversation, 3, [{ id: 5, pvid: true, untagged: true }])).toThrow(
      "cannot add VLAN 5 of bridge port 3",
    )
  })

  test("a link message shorter than its header is malformed", () => {
    const { conversation } = new FakeKernel((request) => [
      part(request, 16, [new Uint8Array(15)], 0),
      acknowledge(request),
    ])
    expect(() => readLink(conversation, "lo")).toThrow("link message cut short")
    const dump = new FakeKernel((request) => [part(request, 16, [new Uint8Array(4)]), done(request)])
    expect(() => readPortVlans(dump.conversation, 3)).toThrow("link message cut short")
  })
})

test.each(["private", "vepa", "bridge", "passthru"] as const)(
  "a macvlan's mode %s is read as it was written",
  (mode) => {
    const wish = { name: "net1", on: 7, mode, mtu: 0, broadcastQueue: 0 }
    const [request] = decodeMessages(requestOf((kernel) => createMacvlan(kernel, wish)))
    expect(request && decodeLink(request)).toMatchObject({ name: "net1", kind: "macvlan", peer: 7, macvlanMode: mode })
  },
)

test("a macvlan in a mode there is no name for has none", () => {
  const macvlan = { name: "net1", on: 7, mode: "bridge", mtu: 0, broadcastQueue: 0 } as const
  const bytes = requestOf((kernel) => createMacvlan(kernel, macvlan)).slice()
  const mode = bytes.lastIndexOf(4) // MACVLAN_MODE_BRIDGE, the request's last number
  bytes[mode] = 16 // MACVLAN_MODE_SOURCE
  const [request] = decodeMessages(bytes)
  expect(request && decodeLink(request).macvlanMode).toBeUndefined()
})

test.each(["l2", "l3", "l3s"] as const)("an ipvlan's mode %s is read as it was written", (mode) => {
  const [request] = decodeMessages(requestOf((kernel) => createIpvlan(kernel, { name: "net1", on: 7, mtu: 0, mode })))
  expect(request && decodeLink(request)).toMatchObject({ kind: "ipvlan", peer: 7, ipvlanMode: mode })
})

test("a VLAN's number and a VRF's table are read as they were written", () => {
  const [vlan] = decodeMessages(requestOf((kernel) => createVlan(kernel, { name: "net1", on: 7, mtu: 0, id: 4094 })))
  expect(vlan && decodeLink(vlan)).toMatchObject({ kind: "vlan", peer: 7, vlanId: 4094 })
  const [vrf] = decodeMessages(requestOf((kernel) => createVrf(kernel, { name: "red", table: 1001 })))
  expect(vrf && decodeLink(vrf)).toMatchObject({ kind: "vrf", vrfTable: 1001 })
})
