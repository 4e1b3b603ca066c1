import { describe, expect, test } from "vitest"
import type { Attachment } from "../cni/attachment.ts"
import { ifnameProblem } from "../cni/environment.ts"
import {
  gatewayPortName,
  hostVethName,
  isHostVethName,
  isHostVethNameIn,
  isHostVethOf,
  temporaryName,
} from "./names.ts"

const attachment: Attachment = { network: "podnet", containerId: "0123456789abcdef", ifname: "eth0" }

/** Container ids as containerd makes them: 64 hex digits. */
const attachments = (count: number, network: string): Attachment[] =>
  Array.from({ length: count }, (_, index) => ({
    network,
    containerId: index.toString(16).padStart(64, "0"),
    ifname: "eth0",
  }))

describe("the host end's name", () => {
  test("never changes: pods that run must be found by later versions", () => {
    expect(hostVethName(attachment)).toBe("vethhkhek59bli1")
    expect(hostVethName({ ...attachment, ifname: "net1" })).toBe("vethhkhedkhao0g")
    expect(gatewayPortName("cni0.100")).toBe("vethv22lb71nbl6")
  })

  test("is one that the kernel takes, in all of its 15 bytes, whatever the attachment is", () => {
    const extremes = [
      { network: "n", containerId: "c", ifname: "e" },
      { network: "n".repeat(300), containerId: "c".repeat(300), ifname: "e".repeat(15) },
    ]
    for (const any of [...extremes, ...attachments(1000, "net")]) {
      const name = hostVethName(any)
      expect(name).toMatch(/^veth[0-9a-v]{11}$/)
      expect(ifnameProblem(name)).toBeUndefined()
    }
    expect(gatewayPortName("cni0.100")).toMatch(/^veth[0-9a-v]{11}$/)
  })

  test("begins alike within a network", () => {
    expect(attachments(100, "podnet").every((any) => isHostVethNameIn(hostVethName(any), "podnet"))).toBe(true)
    expect(isHostVethNameIn(hostVethName({ ...attachment, network: "other" }), "podnet")).toBe(false)
  })

  test("is known as the attachment's, and as no other's", () => {
    expect(isHostVethOf(hostVethName(attachment), attachment)).toBe(true)
    expect(isHostVethOf(hostVethName({ ...attachment, ifname: "eth1" }), attachment)).toBe(false)
    expect(isHostVethOf("vethhkhe0a1b", attachment)).toBe(false)
  })

  test("is not one that the Go plugins or Docker give, which may begin alike", () => {
    for (const name of ["vethhkhe0a1b", "vethhkhea1b", "vethhkhe"]) {
      expect([isHostVethName(name), isHostVethNameIn(name, "podnet")]).toEqual([false, false])
    }
  })

  test("differs for every part of the attachment, also where the parts run together alike", () => {
    const names = [
      attachment,
      { ...attachment, network: "podnet2" },
      { ...attachment, containerId: "0123456789abcdee" },
      { ...attachment, ifname: "eth1" },
      { network: "a", containerId: "bc", ifname: "d" },
      { network: "a", containerId: "b", ifname: "cd" },
      { network: "ab", containerId: "c", ifname: "d" },
    ].map(hostVethName)
    expect(new Set(names).size).toBe(names.length)
  })

  test("is no other's among 100,000 attachments of a hundred networks", () => {
    const names = Array.from({ length: 100 }, (_, network) => attachments(1000, `net${network}`))
      .flat()
      .map(hostVethName)
    expect(new Set(names).size).toBe(100_000)
  })

  test("is no other's among 10,000 attachments of one network, forty times what a node carries", () => {
    expect(new Set(attachments(10_000, "podnet").map(hostVethName)).size).toBe(10_000)
  })
})

test("a temporary name is computed from the attachment, fits the kernel's 15 bytes and is no other's", () => {
  const others = [
    { ...attachment, network: "other" },
    { ...attachment, containerId: "c2" },
    { ...attachment, ifname: "net1" },
  ]
  const names = [attachment, ...others].map(temporaryName)
  for (const name of names) expect(name).toMatch(/^cni-ts[0-9a-v]{9}$/)
  expect(new Set(names).size).toBe(4)
  expect(temporaryName({ ...attachment })).toBe(names[0])
})
