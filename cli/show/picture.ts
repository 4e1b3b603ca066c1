import { readFields } from "../../lib/cni/fields.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import { formatPrefix } from "../../lib/ip/prefix.ts"
import type { Finding } from "../doctor/finding.ts"
import type { Attached } from "../survey/attached.ts"
import type { Survey } from "../survey/survey.ts"

/** A node's pod networks as they are drawn. */
export interface Picture {
  readonly uplinks: readonly Carrier[]
  readonly groups: readonly Group[]
  /** The kinds and subjects of findings that are about none of what is drawn. */
  readonly faults: readonly string[]
  readonly unseen: number
}

/** A link of the node. */
export interface Carrier {
  readonly name: string
  readonly addresses: readonly string[]
  readonly faults: readonly string[]
}

/** Pods whose first interfaces are connected in the same way. */
export interface Group extends Carrier {
  readonly network: string
  readonly pods: readonly DrawnPod[]
}

export interface DrawnPod {
  readonly name: string
  readonly interfaces: readonly DrawnInterface[]
  readonly faults: readonly string[]
}

export interface DrawnInterface {
  readonly name: string
  readonly network: string
  /** The link or plugin that connects it: `cni0`, `macvlan eth1`. */
  readonly carrier: string
  readonly addresses: readonly string[]
  /** `8080→80/tcp` */
  readonly ports: readonly string[]
  /** `in 10M`, `out 1M` */
  readonly limits: readonly string[]
}

/** Draws what the survey sees, and what is wrong with it. */
export function drawNode(survey: Survey, findings: readonly Finding[]): Picture {
  const faultsOf = (about: string) => findings.filter((finding) => finding.about === about).map(({ kind }) => kind)
  const drawn = new Set<string>()
  const carrier = (name: string): Carrier => {
    drawn.add(name)
    const index = survey.links.find((link) => link.name === name)?.index
    const own = survey.addresses.filter(
      (address) => address.index === index && address.prefix.address.family !== undefined,
    )
    return { name, addresses: own.map(({ prefix }) => formatPrefix(prefix)).filter(isShown), faults: faultsOf(name) }
  }
  const uplinks = survey.uplinks.map(({ name }) => carrier(name))
  const groups = new Map<string, { network: string; pods: DrawnPod[] }>()
  for (const pod of drawPods(survey.attached, faultsOf)) {
    const [{ network = "", carrier: name = "" } = {}] = pod.interfaces
    drawn.add(pod.name)
    const key = `${network}\n${name}`
    const group = groups.get(key) ?? { network, pods: [] }
    groups.set(key, { network, pods: [...group.pods, pod] })
  }
  const drawnGroups = [...groups].map(([key, group]) => ({ ...carrier(key.split("\n")[1] ?? ""), ...group }))
  const faults = findings.filter(({ about }) => !drawn.has(about)).map(({ kind, about }) => `${kind}: ${about}`)
  return { uplinks, groups: drawnGroups, faults, unseen: survey.unseen.length }
}

function drawPods(attached: readonly Attached[], faultsOf: (pod: string) => string[]): DrawnPod[] {
  const pods = new Map<string, Attached[]>()
  for (const each of attached) pods.set(each.containerId, [...(pods.get(each.containerId) ?? []), each])
  return [...pods.values()].map((own) => {
    const sorted = own.toSorted((a, b) => (a.ifname < b.ifname ? -1 : 1))
    const name = sorted[0]?.pod ?? ""
    return { name, interfaces: sorted.map(drawInterface), faults: faultsOf(name) }
  })
}

function drawInterface(attached: Attached): DrawnInterface {
  const { ifname, network, result } = attached
  return {
    name: ifname,
    network,
    carrier: carrierOf(attached),
    addresses: result.ips.map(({ address }) => formatAddress(address.address)),
    ports: portsOf(attached),
    limits: limitsOf(attached),
  }
}

function carrierOf({ list }: Attached): string {
  const first = list?.plugins[0]
  if (!first) return "unknown"
  if (first.type === "bridge") return first.fields.string("bridge") || "cni0"
  const master = ["macvlan", "ipvlan", "vlan"].includes(first.type) ? first.fields.string("master") : undefined
  return master ? `${first.type} ${master}` : first.type
}

function portsOf({ capabilities }: Attached): string[] {
  const mappings = capabilities.list("portMappings", (value, path) => readFields(value, path)) ?? []
  return mappings.map((mapping) => {
    const [host, container] = [mapping.integer("hostPort"), mapping.integer("containerPort")]
    return `${host}→${container}/${mapping.string("protocol") || "tcp"}`
  })
}

function limitsOf({ capabilities }: Attached): string[] {
  const limits = capabilities.fields("bandwidth")
  const rates = [
    { word: "in", rate: limits?.integer("ingressRate") },
    { word: "out", rate: limits?.integer("egressRate") },
  ]
  return rates.flatMap(({ word, rate }) => (rate ? [`${word} ${shortRate(rate)}`] : []))
}

/** Writes bits per second as Kubernetes' annotations do: `10M`. */
function shortRate(rate: number): string {
  const units = [
    { size: 1e9, name: "G" },
    { size: 1e6, name: "M" },
    { size: 1e3, name: "k" },
  ]
  const unit = units.find(({ size }) => rate >= size)
  return unit ? `${Number((rate / unit.size).toFixed(1))}${unit.name}` : `${rate}`
}

/** Link-local addresses say nothing. */
function isShown(address: string): boolean {
  return !address.startsWith("fe80:")
}
