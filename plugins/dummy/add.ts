import type { AddContext } from "../../lib/attachment/interface-plugin.ts"
import { configurePodLink, createPodLink, type NewPodLink, type PodLinkConfig } from "../../lib/attachment/pod-link.ts"
import type { Result } from "../../lib/cni/result.ts"
import { createDummy } from "../../lib/netlink/route/new-link.ts"

/** Gives one pod a dummy. It leads nowhere, so nobody else can have its addresses. The result's DNS settings are IPAM's. */
export function add(context: AddContext<PodLinkConfig>): Result {
  const { attachment, pod, config, undo } = context
  const create: NewPodLink["create"] = (rtnetlink, { name }) => createDummy(rtnetlink, { name, mtu: config.mtu })
  const link = createPodLink(pod, { attachment, source: pod, create }, undo)
  const taken = context.takeAddresses()
  const result = configurePodLink({ ...context, takeAddresses: () => taken }, link, "mtu", false)
  return { ...result, dns: taken.dns }
}
