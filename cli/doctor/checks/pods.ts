import { formatMac } from "../../../lib/ip/mac.ts"
import { formatPrefix, samePrefix } from "../../../lib/ip/prefix.ts"
import type { Attached } from "../../survey/attached.ts"
import type { PodView, Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds pods whose namespace, interface, addresses or MAC address are not what their ADD's result says. */
export const checkPods: Check = function* (survey: Survey, subject): Generator<Finding> {
  for (const attached of survey.attached) {
    if (subject && !subject.containerIds.has(attached.containerId)) continue
    if (attached.netns !== "" && survey.isGone(attached.netns)) yield noNamespace(attached)
    const pod = survey.pod(attached.netns)
    if (pod) yield* checkPod(attached, pod)
  }
}

function noNamespace({ pod, netns, path, network }: Attached): Finding {
  return {
    kind: "no-namespace",
    about: pod,
    problem: "its network namespace is gone, and the runtime still remembers the pod",
    evidence: [`${netns}: no such file`, `${path}: attached to ${network}`],
    cause: "the node was restarted, or the sandbox was killed and its DEL has not come yet",
    mend: `cni-ts gc ${network} --yes, if the runtime does not remove the pod by itself`,
  }
}

function* checkPod(attached: Attached, view: PodView): Generator<Finding> {
  const { pod, ifname, netns, result } = attached
  const show = `nsenter --net=${netns} ip -br address`
  const link = view.links.find(({ name }) => name === ifname)
  if (!link) {
    const there = view.links.map(({ name }) => name).join(" ")
    const mend = "restart the pod: only a new ADD makes the interface again"
    return yield {
      kind: "no-interface",
      about: pod,
      problem: `it has no ${ifname}`,
      evidence: [`${show}: ${there}`],
      mend,
    }
  }
  if (!link.up) {
    const mend = `nsenter --net=${netns} ip link set ${ifname} up; routes need a restart of the pod`
    yield {
      kind: "interface-down",
      about: pod,
      problem: `${ifname} is down`,
      evidence: [`${show}: ${ifname} DOWN`],
      mend,
    }
  }
  const position = result.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== "")
  const mac = result.interfaces[position]?.mac.toLowerCase()
  if (mac && mac !== formatMac(link.mac)) {
    const evidence = [`${ifname} has ${formatMac(link.mac)}`, `ADD answered ${mac}`]
    const mend = `nsenter --net=${netns} ip link set ${ifname} address ${mac}`
    yield {
      kind: "other-mac",
      about: pod,
      problem: `${ifname} has another MAC address than ADD gave it`,
      evidence,
      mend,
    }
  }
  const present = view.addresses.filter(({ index }) => index === link.index)
  for (const ip of result.ips) {
    if (ip.interface !== undefined && ip.interface !== position) continue
    if (present.some(({ prefix }) => samePrefix(prefix, ip.address))) continue
    const wanted = formatPrefix(ip.address)
    const evidence = [`${show}: ${present.map(({ prefix }) => formatPrefix(prefix)).join(" ") || "no address"}`]
    const mend = `nsenter --net=${netns} ip address add ${wanted} dev ${ifname}`
    yield { kind: "no-address", about: pod, problem: `${ifname} lacks its address ${wanted}`, evidence, mend }
  }
}
