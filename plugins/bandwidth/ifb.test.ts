import { describe, expect, test } from "vitest"
import { formatMac } from "../../lib/ip/mac.ts"
import { ifbMac, ifbNames } from "./ifb.ts"

const attachment = { network: "podnet", containerId: "dummy", ifname: "eth0" }

describe("the name of an attachment's ifb", () => {
  test("is the Go plugin's for the container's first interface", () => {
    expect(ifbNames({ ...attachment, network: "cni-plugin-bandwidth-test" })[0]).toBe("bwpa8eda89404b7")
    expect(ifbNames({ ...attachment, ifname: "net1" })[0]).toBe(ifbNames(attachment)[0])
  })

  test("is one of its own for those that come second, as long as a link's name may be", () => {
    const names = [
      attachment,
      { ...attachment, ifname: "net1" },
      { ...attachment, network: "pod", containerId: "netdummy" },
    ].map((each) => ifbNames(each)[1])
    expect(new Set(names).size).toBe(3)
    for (const name of names) expect(name).toMatch(/^bwp[0-9a-f]{12}$/)
  })
})

describe("the MAC address of an attachment's ifb", () => {
  test("is locally administered, begins as those of the network, and is the attachment's alone", () => {
    const [one, other, elsewhere] = [
      attachment,
      { ...attachment, ifname: "net1" },
      { ...attachment, network: "othernet" },
    ].map((each) => formatMac(ifbMac(each)))
    expect(one).toMatch(/^02(:[0-9a-f]{2}){5}$/)
    expect(other?.slice(0, 11)).toBe(one?.slice(0, 11))
    expect(other).not.toBe(one)
    expect(elsewhere?.slice(0, 11)).not.toBe(one?.slice(0, 11))
  })
})
