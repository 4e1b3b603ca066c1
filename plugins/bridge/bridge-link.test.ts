import { beforeEach, describe, expect, test } from "vitest"
import { formatPrefix, type Prefix, parsePrefix } from "../../lib/ip/prefix.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import { Undo } from "../../lib/net/undo.ts"
import { decodeLink } from "../../lib/netlink/route/link.ts"
import { done, part } from "../../lib/testing/fake-kernel.ts"
import {
  addressMessage,
  EEXIST,
  EPERM,
  FakeStack,
  found,
  linkMessage,
  nothing,
  refused,
} from "../../lib/testing/fake-stack.ts"
import { fromHex, toHex } from "../../lib/testing/recorded.ts"
import {
  adaptBridge,
  ensureBridge,
  planGatewayAddresses,
  putGatewayAddresses,
  type WantedBridge,
} from "./bridge-link.ts"

const wanted: WantedBridge = { name: "cni0", mtu: 1450, promiscuous: false, vlanFiltering: false }
const cni0 = linkMessage({ index: 2, name: "cni0", mtu: 1450 })
const port = linkMessage({ index: 3, name: "veth0", kind: "veth", master: 2 })

let undo: Undo
beforeEach(() => {
  undo = new Undo()
})

/** Undoes, and returns the requests that it takes. */
function undone(stack: FakeStack): string[] {
  const before = stack.log.length
  undo[Symbol.dispose]()
  return stack.log.slice(before)
}

describe("ensuring a bridge", () => {
  test("one that exists and is up costs one question and is not undone", () => {
    const stack = new FakeStack({ GETLINK: [found(16, cni0)] })
    expect(ensureBridge(stack, wanted, undo)).toMatchObject({ index: 2, up: true })
    expect(undone(stack)).toEqual([])
    expect(stack.log).toEqual(["GETLINK"])
  })

  test("one without a port that is up is given the MAC it has before it could take a port's", () => {
    const idle = linkMessage({ index: 2, name: "cni0", operstate: 2 })
    const stack = new FakeStack({ GETLINK: [found(16, idle)] })
    ensureBridge(stack, wanted, undo)
    expect(stack.bodies("NEWLINK").map(toHex)).toEqual([expect.stringContaining("0a000100020000000002")])
  })

  test("one that another ADD makes between our question and our request is taken as it is, and left when we fail", () => {
    const stack = new FakeStack({ GETLINK: [nothing, found(16, cni0)], NEWLINK: [refused(EEXIST)] })
    expect(ensureBridge(stack, wanted, undo)).toMatchObject({ index: 2, mtu: 1450 })
    expect(undone(stack)).toEqual([])
    expect(stack.log).toEqual(["GETLINK", "NEWLINK", "GETLINK"])
  })

  test("one that another ADD has made but not yet set up is set up, and set down again only while nobody uses it", () => {
    const down = linkMessage({ index: 2, name: "cni0", up: false })
    const script = { GETLINK: [nothing, found(16, down), nothing], NEWLINK: [refused(EEXIST), found(16)] }
    const stack = new FakeStack(script)
    expect(ensureBridge(stack, wanted, undo).up).toBe(true)
    expect(undone(stack)).toEqual(["GETLINK", "NEWLINK"])

    undo = new Undo()
    const used = new FakeStack({ ...script, GETLINK: [nothing, found(16, down), found(16, port)] })
    ensureBridge(used, wanted, undo)
    expect(undone(used)).toEqual(["GETLINK"])
  })

  test("one we made is removed when we fail", () => {
    const stack = new FakeStack({ GETLINK: [nothing, found(16, cni0), found(16, cni0), nothing] })
    ensureBridge(stack, wanted, undo)
    expect(undone(stack)).toEqual(["GETLINK", "GETLINK", "DELLINK"])
  })

  test("one we made stays when we fail but somebody has a port on it by then", () => {
    const stack = new FakeStack({ GETLINK: [nothing, found(16, cni0), found(16, cni0), found(16, port)] })
    ensureBridge(stack, wanted, undo)
    expect(undone(stack)).toEqual(["GETLINK", "GETLINK"])
  })

  test("one we made is removed also when setting it up fails", () => {
    const GETLINK = [nothing, found(16, cni0), found(16, cni0), nothing]
    const stack = new FakeStack({ GETLINK, NEWLINK: [found(16), refused(EPERM)] })
    expect(() => ensureBridge(stack, wanted, undo)).toThrow("cannot change link cni0 (up, mtu): EPERM")
    expect(undone(stack)).toEqual(["GETLINK", "GETLINK", "DELLINK"])
  })

  test("one we made is removed also when reading it back fails", () => {
    const GETLINK = [nothing, refused(EPERM), found(16, cni0), nothing]
    const stack = new FakeStack({ GETLINK })
    expect(() => ensureBridge(stack, wanted, undo)).toThrow("cannot read link cni0: EPERM")
    expect(undone(stack)).toEqual(["GETLINK", "GETLINK", "DELLINK"])
  })

  test("one that vanishes meanwhile is a Conflict, not a wait", () => {
    const stack = new FakeStack({ NEWLINK: [refused(EEXIST)] })
    expect(() => ensureBridge(stack, wanted, undo)).toThrow("bridge cni0 vanished while it was being set up")
  })

  test("a name that belongs to something else is a Conflict, and nothing is changed", () => {
    const stack = new FakeStack({ GETLINK: [found(16, linkMessage({ index: 4, name: "cni0", kind: "dummy" }))] })
    expect(() => ensureBridge(stack, wanted, undo)).toThrow(Conflict)
    expect(stack.log).toEqual(["GETLINK"])
    expect(undone(stack)).toEqual([])
  })

  test("a refusal to make it is told as it is", () => {
    const stack = new FakeStack({ NEWLINK: [refused(EPERM)] })
    expect(() => ensureBridge(stack, wanted, undo)).toThrow("cannot create bridge cni0: EPERM")
  })
})

describe("the MTU of a bridge that we make, if the config names none", () => {
  const IFLA_MTU = "08000400"
  const defaultRoute = (link: number, metric: number) =>
    Uint8Array.from([...fromHex("02000000fe03000100000000"), 8, 0, 4, 0, link, 0, 0, 0, 8, 0, 6, 0, metric, 0, 0, 0])
  /** In the request that makes it, one less, and in the one that has the kernel keep it. */
  const mtusOf = (stack: FakeStack) =>
    stack.bodies("NEWLINK").map((body) => toHex(body).split(IFLA_MTU)[1]?.slice(0, 8))
  const uplink = linkMessage({ index: 7, name: "uplink", mtu: 1400 })

  test("is that of the interface the node's best default route leaves by", () => {
    const GETROUTE = [found(24, defaultRoute(8, 200), defaultRoute(7, 100)), nothing]
    const stack = new FakeStack({ GETLINK: [nothing, found(16, uplink), found(16, cni0)], GETROUTE })
    ensureBridge(stack, { ...wanted, mtu: 0 }, undo)
    expect(toHex(stack.bodies("GETLINK")[1] ?? new Uint8Array())).toMatch(/^0000000007000000/)
    expect(mtusOf(stack)).toEqual(["77050000", "78050000"])
  })

  test("is left to the kernel on a node without a default route", () => {
    const stack = new FakeStack({ GETLINK: [nothing, found(16, cni0)] })
    ensureBridge(stack, { ...wanted, mtu: 0 }, undo)
    expect(stack.log).toEqual(["GETLINK", "GETROUTE", "GETROUTE", "NEWLINK", "GETLINK", "NEWLINK"])
    expect(mtusOf(stack)).toEqual([undefined, undefined])
  })

  test("is not looked up if the config names one", () => {
    const stack = new FakeStack({ GETLINK: [nothing, found(16, cni0)] })
    ensureBridge(stack, wanted, undo)
    expect(stack.log).not.toContain("GETROUTE")
    expect(mtusOf(stack)).toEqual(["a9050000", "aa050000"])
  })
})

describe("adapting a bridge that exists", () => {
  const link = decodeLink({ type: 16, flags: 0, sequence: 1, payload: cni0 })

  test("asks nothing of the kernel if all is as wanted, or nothing is wanted", () => {
    const stack = new FakeStack()
    adaptBridge(stack, link, wanted)
    adaptBridge(stack, { ...link, promiscuous: true, vlanFiltering: true }, { ...wanted, mtu: 0 })
    expect(stack.log).toEqual([])
  })

  test("changes all that is missing in one request", () => {
    const stack = new FakeStack()
    adaptBridge(stack, link, { ...wanted, mtu: 1400, promiscuous: true, vlanFiltering: true })
    expect(stack.log).toEqual(["NEWLINK"])
  })
})

describe("the gateway's addresses", () => {
  const link = decodeLink({ type: 16, flags: 0, sequence: 1, payload: cni0 })
  const prefixes = (...texts: string[]) => texts.map((text) => parsePrefix(text) as Prefix)
  const having = (...present: string[]) =>
    new FakeStack({
      GETADDR: [found(20, ...present.map((text) => addressMessage(2, text)))],
      GETLINK: [found(16, cni0)],
    })

  test("that are there already cost one question and no change, not even of the MAC", () => {
    const stack = having("10.1.0.1/24", "fd00::1/64", "fe80::1/64")
    putGatewayAddresses(stack, planGatewayAddresses(stack, link, prefixes("10.1.0.1/24", "fd00::1/64"), false))
    expect(stack.log).toEqual(["GETADDR"])
  })

  test("that are missing are added, and then the MAC is fixed", () => {
    const stack = having("fe80::1/64")
    putGatewayAddresses(stack, planGatewayAddresses(stack, link, prefixes("10.1.0.1/24", "fd00::1/64"), false))
    expect(stack.log).toEqual(["GETADDR", "NEWADDR", "NEWADDR", "NEWLINK"])
  })

  test("leave the MAC alone if this ADD has set it", () => {
    const stack = having()
    putGatewayAddresses(stack, planGatewayAddresses(stack, { ...link, keepsMac: true }, prefixes("10.1.0.1/24"), false))
    expect(stack.log).toEqual(["GETADDR", "NEWADDR"])
  })

  test.each([
    ["another IPv4 address, even of another network", ["192.168.0.1/24"], ["10.1.0.1/24"]],
    ["the same IPv4 address with another length", ["10.1.0.1/16"], ["10.1.0.1/24"]],
    ["an IPv6 address of a wider network", ["fd00::9/48"], ["fd00::1/64"]],
    ["an IPv6 address of a narrower network", ["fd00::9/96"], ["fd00::1/64"]],
    ["a second IPv4 gateway of the same request", [], ["10.1.0.1/24", "10.2.0.1/24"]],
    ["one conflict behind an address that would fit", ["fd00::9/64"], ["10.1.0.1/24", "fd00::1/64"]],
  ])("%s is a Conflict before anything is changed", (_, present, wanted) => {
    const stack = having(...present)
    expect(() => planGatewayAddresses(stack, link, prefixes(...wanted), false)).toThrow(Conflict)
    expect(stack.log).toEqual(["GETADDR"])
  })

  test.each([
    ["fe80::42/64", "fe80::1/64"],
    ["fe80::42/64", "fd00::1/0"],
  ])("a link-local address (%s) may stay beside %s", (present, wanted) => {
    for (const force of [false, true]) {
      const plan = planGatewayAddresses(having(present), link, prefixes(wanted), force)
      expect([plan.add.map(formatPrefix), plan.remove]).toEqual([[wanted], []])
    }
  })

  test.each([
    ["none of them is there", []],
    ["the first is there", ["10.1.0.1/24"]],
    ["the second is there", ["10.2.0.1/24"]],
  ])("two IPv4 gateways of one request are refused as rivals if %s", (_, present) => {
    const plan = () => planGatewayAddresses(having(...present), link, prefixes("10.1.0.1/24", "10.2.0.1/24"), false)
    expect(plan).toThrow(/^"cni0" cannot have both 10\.[12]\.0\.1\/24 and 10\.[12]\.0\.1\/24$/)
  })

  test("a disjoint IPv6 address may stay beside ours", () => {
    const stack = having("fd01::1/64")
    const { add, remove } = planGatewayAddresses(stack, link, prefixes("fd00::1/64"), false)
    expect([add.map(formatPrefix), remove]).toEqual([["fd00::1/64"], []])
  })

  test("with force, what is in the way goes first, each once and IPv6 before IPv4, and what is not stays", () => {
    const stack = having("10.9.0.1/24", "10.8.0.1/24", "fd00::9/48", "fd01::1/64", "fe80::1/64")
    const plan = planGatewayAddresses(stack, link, prefixes("10.1.0.1/24", "fd00::1/64"), true)
    expect(plan.remove.map(formatPrefix)).toEqual(["10.9.0.1/24", "10.8.0.1/24", "fd00::9/48"])
    putGatewayAddresses(stack, plan)
    expect(stack.log).toEqual([
      "GETADDR",
      ...["DELADDR", "NEWADDR"],
      ...["DELADDR", "DELADDR", "NEWADDR"],
      ...["NEWLINK"],
    ])
  })

  test("a conflict is seen though the first reading of the addresses was interrupted before it", () => {
    const stack = new FakeStack({
      GETADDR: [
        (request) => [part(request, 20, [addressMessage(2, "fe80::1/64")]), done(request, { interrupted: true })],
        found(20, addressMessage(2, "192.168.0.1/24")),
      ],
    })
    expect(() => planGatewayAddresses(stack, link, prefixes("10.1.0.1/24"), false)).toThrow(
      '"cni0" already has an IP address different from 10.1.0.1/24',
    )
    expect(stack.log).toEqual(["GETADDR", "GETADDR"])
  })

  test("one that another ADD adds at the same moment is as good as ours", () => {
    const stack = new FakeStack({ NEWADDR: [refused(EEXIST)], GETLINK: [found(16, cni0)] })
    const plan = planGatewayAddresses(stack, link, prefixes("10.1.0.1/24"), false)
    expect(() => putGatewayAddresses(stack, plan)).not.toThrow()
  })

  test("any other refusal is told", () => {
    const stack = new FakeStack({ NEWADDR: [refused(EPERM)] })
    const plan = planGatewayAddresses(stack, link, prefixes("10.1.0.1/24"), false)
    expect(() => putGatewayAddresses(stack, plan)).toThrow("cannot add an address to cni0: EPERM")
  })
})
