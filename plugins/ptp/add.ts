import { hasIPv6 } from "../../lib/attachment/addresses.ts"
import { attachmentAlias } from "../../lib/attachment/alias.ts"
import { assertRoomForIPv6 } from "../../lib/attachment/interface-keys.ts"
import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { ensureMasquerade } from "../../lib/attachment/masquerade.ts"
import { configurePodInterface } from "../../lib/attachment/pod-interface.ts"
import { createPodVeth, type HostEnd } from "../../lib/attachment/veth.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { formatMac, localMac, type Mac } from "../../lib/ip/mac.ts"
import { planForwarding } from "../../lib/net/forwarding.ts"
import { changeLink } from "../../lib/netlink/route/link.ts"
import { randomBytes } from "../../lib/sys/digest.ts"
import type { PtpConfig } from "./config.ts"
import { configureHostInterface } from "./host-interface.ts"
import { planLayer3 } from "./layer3.ts"

/** Connects one pod to the node by a veth pair of its own. */
export function add({ call, config, attachment, host, pod, undo, takeAddresses }: AddContext<PtpConfig>): Result {
  const { ipMasq, mtu, dns } = config
  const [hostMac, podMac] = [localMac(randomBytes(6)), localMac(randomBytes(6))]
  const ends = { host: { mac: hostMac, mtu }, pod: { mac: podMac, mtu } }
  const veth = createPodVeth({ host, pod }, { attachment, ...ends }, undo)
  const given = takeAddresses()
  if (hasIPv6(given.ips)) assertRoomForIPv6("mtu", mtu)
  const layer3 = planLayer3(given.ips)
  const families = new Set(layer3.ips.map(({ address }) => address.address.family))
  const forwarding = [...families].map((family) => planForwarding(host, family))
  configureHostInterface(host, veth, layer3)
  configurePodInterface(pod, {
    index: veth.peer,
    name: attachment.ifname,
    addresses: layer3.ips.map(({ address, gateway }) => ({ prefix: address, gateway })),
    linkRoutes: layer3.podRoutes,
    routes: given.routes.map(({ gw, ...route }) => ({ ...route, gateway: gw })),
    detectDuplicates: false, // there is nobody else on the link
  })
  const addresses = layer3.ips.map(({ address }) => address)
  if (ipMasq) ensureMasquerade(host, { attachment, backend: ipMasq, addresses, undo, log: call.log })
  for (const enable of forwarding) enable?.() // not undone, so it comes last
  changeLink(host.rtnetlink, veth.index, veth.name, { alias: attachmentAlias(attachment) })
  return { interfaces: describe(call, veth, podMac), ips: layer3.ips, routes: given.routes, dns: dns ?? given.dns }
}

function describe({ environment }: Call, veth: HostEnd, podMac: Mac): Result["interfaces"] {
  const { ifname, netns } = environment
  return [
    { name: veth.name, mac: formatMac(veth.mac), sandbox: "" },
    { name: ifname, mac: formatMac(podMac), sandbox: netns },
  ]
}
