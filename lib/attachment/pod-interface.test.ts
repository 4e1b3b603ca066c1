import { beforeEach, describe, expect, test, vi } from "vitest"
import { type Address, formatAddress, parseAddress } from "../ip/address.ts"
import { type Prefix, parsePrefix } from "../ip/prefix.ts"
import { decodeRoute } from "../netlink/route/route.ts"
import { agreed, EEXIST, EPERM, FakeStack, refused } from "../testing/fake-stack.ts"
import { configurePodInterface, type PodInterface } from "./pod-interface.ts"

const address = (text: string) => parseAddress(text) as Address
const prefix = (text: string) => parsePrefix(text) as Prefix

const ipv4 = { prefix: prefix("10.1.0.5/24"), gateway: address("10.1.0.1") }
const ipv6 = { prefix: prefix("fd00::5/64"), gateway: address("fd00::1") }
const plain: PodInterface = { index: 2, name: "eth0", addresses: [ipv4], routes: [], detectDuplicates: false }

/** A stack whose log has sysctls, too, in the order in which they are set. */
class LoggingStack extends FakeStack {
  override readonly writeSysctl = vi.fn((name: string, value: string) => void this.log.push(`${name}=${value}`))
  override trySysctl(name: string, value: string): void {
    this.log.push(`${name}=${value}`)
  }
}

let stack: LoggingStack
beforeEach(() => {
  stack = new LoggingStack()
})

const gateways = () =>
  stack.bodies("NEWROUTE").map((payload) => {
    const gateway = decodeRoute({ type: 24, flags: 0, sequence: 1, payload }).hops[0]?.gateway
    return gateway && formatAddress(gateway)
  })

describe("configuring the pod's interface", () => {
  test("sets what the kernel reads as the link comes up, then addresses, then up, then routes", () => {
    configurePodInterface(stack, { ...plain, addresses: [ipv4, ipv6], routes: [{ dst: prefix("0.0.0.0/0") }] })
    expect(stack.log).toEqual([
      "net/ipv6/conf/eth0/accept_dad=0",
      "net/ipv6/conf/eth0/keep_addr_on_down=1",
      "net/ipv6/conf/eth0/ndisc_notify=1",
      ...["SETLINK", "NEWADDR", "NEWADDR", "NEWLINK", "NEWROUTE"],
    ])
  })

  test("with routes of the link's own makes them first, as they are, and has the kernel make none", () => {
    const linkRoutes = [{ dst: prefix("10.1.0.1/32"), scope: 253 }]
    configurePodInterface(stack, { ...plain, linkRoutes, routes: [{ dst: prefix("0.0.0.0/0") }] })
    expect(gateways()).toEqual([undefined, "10.1.0.1"])
    const IFA_F_NOPREFIXROUTE = 0x200
    const flags = stack
      .bodies("NEWADDR")
      .map((body) => new DataView(body.buffer, body.byteOffset).getUint32(body.length - 4, true))
    expect(flags).toEqual([IFA_F_NOPREFIXROUTE])
  })

  test("without IPv6 sets no sysctl", () => {
    configurePodInterface(stack, plain)
    expect(stack.log).toEqual(["SETLINK", "NEWADDR", "NEWLINK"])
  })

  test("switches IPv6 on where it is off, on lo too", () => {
    vi.spyOn(stack, "readSysctl").mockReturnValue("1")
    configurePodInterface(stack, { ...plain, addresses: [ipv6] })
    expect(stack.log).toEqual(
      expect.arrayContaining(["net/ipv6/conf/lo/disable_ipv6=0", "net/ipv6/conf/eth0/disable_ipv6=0"]),
    )
  })

  test("sends all of it in one datagram, and fails with the first that is refused", () => {
    configurePodInterface(stack, { ...plain, addresses: [ipv4, ipv6], routes: [{ dst: prefix("0.0.0.0/0") }] })
    expect(stack.fake.requests).toHaveLength(1)
    stack = new LoggingStack({ NEWADDR: [agreed, refused(EEXIST)], NEWLINK: [refused(EPERM)] })
    expect(() => configurePodInterface(stack, { ...plain, addresses: [ipv4, ipv6] })).toThrow(
      "cannot add an address to eth0: EEXIST",
    )
  })

  test("names the route that fails", () => {
    stack = new LoggingStack({ NEWROUTE: [refused(EPERM)] })
    const routes = [{ dst: prefix("10.0.0.0/8") }]
    expect(() => configurePodInterface(stack, { ...plain, routes })).toThrow("cannot add route 10.0.0.0/8: EPERM")
  })
})

describe("a route without a gateway", () => {
  test("goes by the first gateway of its family", () => {
    const second = { prefix: prefix("10.2.0.5/24"), gateway: address("10.2.0.1") }
    const routes = [prefix("10.0.0.0/8"), prefix("fd01::/48")].map((dst) => ({ dst }))
    configurePodInterface(stack, {
      ...plain,
      addresses: [{ prefix: prefix("10.3.0.5/24") }, ipv4, second, ipv6],
      routes,
    })
    expect(gateways()).toEqual(["10.1.0.1", "fd00::1"])
  })

  test("is on-link where its family has none", () => {
    configurePodInterface(stack, { ...plain, routes: [{ dst: prefix("fd01::/48") }] })
    expect(gateways()).toEqual([undefined])
  })

  test("is not what one with a gateway becomes", () => {
    configurePodInterface(stack, { ...plain, routes: [{ dst: prefix("10.0.0.0/8"), gateway: address("10.1.0.9") }] })
    expect(gateways()).toEqual(["10.1.0.9"])
  })
})
