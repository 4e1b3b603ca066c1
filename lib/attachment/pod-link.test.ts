import { describe, expect, test } from "vitest"
import { Conflict } from "../net/conflict.ts"
import { Undo } from "../net/undo.ts"
import { KernelError } from "../netlink/kernel-error.ts"
import { createVlan } from "../netlink/route/new-link.ts"
import { agreed, EEXIST, FakeStack, found, linkMessage, nothing, refused, type Script } from "../testing/fake-stack.ts"
import { temporaryName } from "./names.ts"
import { createPodLink } from "./pod-link.ts"

const attachment = { network: "net", containerId: "container", ifname: "eth0" }
const temporary = temporaryName(attachment)
const made = found(16, linkMessage({ index: 7, name: temporary, kind: "vlan" }))
const present = (alias: string) => found(16, linkMessage({ index: 5, name: "eth0", kind: "vlan", alias }))
const absent = nothing

/** Makes a VLAN interface in a pod that answers by this script, and says what was asked of it. */
function make(script: Script) {
  const pod = new FakeStack(script)
  const attempt = () => {
    using undo = new Undo()
    createPodLink(
      pod,
      {
        attachment,
        source: pod,
        create: (rtnetlink, named) => createVlan(rtnetlink, { on: 2, id: 5, mtu: 0, ...named }),
      },
      undo,
    )
    undo.commit()
  }
  return { pod, attempt }
}

describe("making a pod's link", () => {
  test("costs three requests", () => {
    const { pod, attempt } = make({ GETLINK: [made] })
    attempt()
    expect(pod.log).toEqual(["NEWLINK", "GETLINK", "NEWLINK"])
  })

  test("replaces what a killed ADD left before it was renamed", () => {
    const { pod, attempt } = make({ NEWLINK: [refused(EEXIST), agreed], GETLINK: [made] })
    attempt()
    expect(pod.log).toEqual(["NEWLINK", "DELLINK", "NEWLINK", "GETLINK", "NEWLINK"])
  })

  test("replaces what a killed ADD left after it was renamed, also if the kernel refuses a second link as such", () => {
    const script = {
      NEWLINK: [refused(EEXIST), agreed],
      DELLINK: [absent, agreed],
      GETLINK: [present(temporary), made],
    }
    const { pod, attempt } = make(script)
    attempt()
    expect(pod.log).toEqual(["NEWLINK", "DELLINK", "GETLINK", "DELLINK", "NEWLINK", "GETLINK", "NEWLINK"])
  })

  test("of a pod that is attached is a Conflict, and spares what it has", () => {
    const attached = present("cni-ts net container eth0")
    const { attempt } = make({ NEWLINK: [refused(EEXIST)], DELLINK: [absent], GETLINK: [attached] })
    expect(attempt).toThrow(Conflict)
    expect(attempt).toThrow('interface "eth0" already exists in the pod')
  })

  test("is refused in the kernel's words if nothing in the pod is in the way", () => {
    const { attempt } = make({ NEWLINK: [refused(EEXIST)], DELLINK: [absent], GETLINK: [absent] })
    expect(attempt).toThrow(KernelError)
  })
})
