import { expect, test } from "vitest"
import { readLink } from "../netlink/route/link.ts"
import { type Answer, acknowledge, part } from "../testing/fake-kernel.ts"
import { FakeStack, found, linkMessage } from "../testing/fake-stack.ts"
import { attachmentAlias } from "./alias.ts"
import { isHostEnd, leadsElsewhere } from "./host-end.ts"
import { hostVethName } from "./names.ts"

const attachment = { network: "podnet", containerId: "c1", ifname: "eth0" }
const [alias, name] = [attachmentAlias(attachment), hostVethName(attachment)]
const another = attachmentAlias({ ...attachment, containerId: "c2" })
const NEWLINK = 16

test.each([
  ["it has our alias, whatever it is called", { alias, name: "renamed" }, 7, true, 0],
  ["it has our name, before ADD has given it an alias", { name }, undefined, true, 0],
  ["it is a veth of others whose other end is in the pod's namespace", { peerNamespace: 7 }, 7, true, 1],
  ["its other end is in another pod's namespace", { peerNamespace: 8 }, 7, false, 1],
  ["its other end is on the host, as with the gateway's VLAN interface", {}, 7, false, 0],
  [
    "the kernel has no id for the pod's namespace, and none for the other end's",
    { peerNamespace: 0xffffffff },
    -1,
    false,
    1,
  ],
  ["it is another attachment's, in the same namespace", { alias: another, peerNamespace: 7 }, 7, false, 0],
  ["it is another attachment's, under our name", { alias: another, name }, 7, false, 0],
  ["it is no veth", { alias, kind: "dummy" }, 7, false, 0],
])("the host end is proven or not where %s", (_, link, podId, proven, questions) => {
  const described = { index: 5, name: "veth0", kind: "veth", peer: 2, ...link }
  const host = new FakeStack({ GETLINK: [found(NEWLINK, linkMessage(described))], GETNSID: [named(podId ?? -1)] })
  const read = readLink(host.rtnetlink, 5)
  expect(read && isHostEnd(host, read, attachment, 3)).toBe(proven)
  expect(host.log.filter((request) => request === "GETNSID")).toHaveLength(questions)
  if (questions > 0) expect(host.bodies("GETNSID")[0]).toEqual(Uint8Array.of(0, 0, 0, 0, 8, 0, 3, 0, 3, 0, 0, 0))
})

test.each([
  ["in the pod's namespace", { peerNamespace: 7 }, 7, false],
  ["in another namespace", { peerNamespace: 8 }, 7, true],
  ["in another namespace, and the kernel has no id for the pod's", { peerNamespace: 8 }, -1, true],
  ["in a namespace that is about to vanish", { peerNamespace: 0xffffffff }, 7, false],
  ["on the host", {}, 7, false],
])("a veth whose other end is %s leads elsewhere or not", (_, link, podId, expected) => {
  const described = { index: 5, name, kind: "veth", peer: 2, ...link }
  const host = new FakeStack({ GETLINK: [found(NEWLINK, linkMessage(described))], GETNSID: [named(podId)] })
  const read = readLink(host.rtnetlink, 5)
  expect(read && leadsElsewhere(host, read, 3)).toBe(expected)
})

/** Answers RTM_NEWNSID with NETNSA_NSID. */
function named(id: number): Answer {
  const body = new Uint8Array(12)
  body.set([8, 0, 1, 0], 4)
  new DataView(body.buffer).setInt32(8, id, true)
  return (request) => [part(request, 88, [body]), acknowledge(request)]
}
