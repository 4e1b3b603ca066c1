import { formatVersion, type GoBuild, readVersion, type Version } from "../../survey/go-build.ts"
import type { NetworkList, PluginConfig } from "../../survey/network-list.ts"
import type { Survey } from "../../survey/survey.ts"

/** A fault that versions of a program have. */
interface Fault {
  /** The package, as Go notes it in executables. */
  readonly path: RegExp
  /** From the first that has it to the first that has not; the one to take, if that is another. */
  readonly versions: readonly (readonly [from: string, to: string, mended?: string])[]
  readonly problem: string
  /** The report of it, or of what mended it. */
  readonly report: string
}

/** A fault of a plugin, and the configuration that it hits. */
interface PluginFault extends Fault {
  readonly hits: (plugin: PluginConfig, list: NetworkList, survey: Survey) => boolean
}

/** A fault of a program that calls plugins, and how it shows. */
interface RuntimeFault extends Fault {
  readonly hits: (survey: Survey) => boolean
}

const reference = (name: string) => new RegExp(`^github\\.com/containernetworking/plugins/plugins/\\w+/${name}$`)
const byNftables = ({ fields }: PluginConfig) => fields.get("backend") === "nftables"

export const pluginFaults: readonly PluginFault[] = [
  {
    path: reference("portmap"),
    versions: [["0.9.0", "1.1.0"]],
    problem: "a pod with a UDP host port makes the node forget all connections it tracks, when it starts",
    report: "containernetworking/plugins#705",
    hits: () => true,
  },
  {
    path: reference("portmap"),
    versions: [["1.6.0", "1.6.1"]],
    problem: "its rules of nftables are refused by kernels: pods with host ports do not start",
    report: "containernetworking/plugins#1115",
    hits: byNftables,
  },
  {
    path: reference("portmap"),
    versions: [["1.6.0", "1.9.0"]],
    problem: "a host port takes packets to any address, not to the node's alone, and leads them to its pod",
    report: "CVE-2025-67499",
    hits: byNftables,
  },
  {
    path: reference("(firewall|vrf)"),
    versions: [["1.0.0", "1.0.1"]],
    problem: "it refuses networks of version 1.0.0: pods do not start",
    report: "containernetworking/plugins#661",
    hits: (_, { cniVersion }) => cniVersion === "1.0.0",
  },
  {
    path: reference("bandwidth"),
    versions: [["1.0.0", "1.0.1"]],
    problem: "it refuses networks of version 0.4.0: pods do not start",
    report: "containernetworking/plugins#661",
    hits: (_, { cniVersion }) => cniVersion === "0.4.0",
  },
  {
    path: reference("dummy"),
    versions: [["1.2.0", "1.9.0"]],
    problem: "it fails for a pod's interface that is called as one of the node's, such as eth0",
    report: "containernetworking/plugins#1205",
    hits: (_, __, { links }) => links.some(({ name }) => name === "eth0"),
  },
  {
    path: reference("vrf"),
    versions: [["0.9.0", "1.9.1"]],
    problem: "it loses the routes that IPAM gave",
    report: "containernetworking/plugins#1223",
    hits: () => true,
  },
]

const containerd = /^github\.com\/containerd\/containerd\/(?:v2\/)?cmd\/containerd$/

/** Programs by the names of their executables. */
export const runtimeFaults: Readonly<Record<string, readonly RuntimeFault[]>> = {
  containerd: [
    {
      path: containerd,
      versions: [["1.6.9", "1.6.15"]],
      problem: "it forgets its pods' addresses when it starts again: the kubelet then restarts all pods",
      report: "containerd/containerd#7843",
      hits: () => true,
    },
    {
      path: containerd,
      versions: [
        ["1.6.37", "1.7.0", "1.7.31"],
        ["1.7.23", "1.7.31"],
        ["2.0.0", "2.0.8"],
        ["2.1.0", "2.1.7"],
        ["2.2.0", "2.2.2"],
      ],
      problem: "it calls no DEL for pods that it was making when it was killed: some here have no namespace any more",
      report: "containerd/containerd#12923",
      hits: (survey) => survey.attached.some(({ netns }) => netns !== "" && survey.isGone(netns)),
    },
  ],
}

/** Returns the version that has the fault no more, if the executable has it. */
export function mendedIn({ path, versions }: Fault, build: GoBuild): string | undefined {
  const { version } = build
  if (!version || !path.test(build.path)) return undefined
  const range = versions.find(([from, to]) => !isBefore(version, from) && isBefore(version, to))
  return range && (range[2] ?? range[1])
}

function isBefore(version: Version, limit: string): boolean {
  const other = readVersion(limit) ?? version
  const at = version.findIndex((number, index) => number !== other[index])
  return at !== -1 && (version[at] ?? 0) < (other[at] ?? 0)
}

/** `containerd 1.7.25` */
export function programName({ path, version }: GoBuild): string {
  return `${path.slice(path.lastIndexOf("/") + 1)} ${version ? formatVersion(version) : ""}`.trim()
}
