import { attachmentInAlias } from "../../lib/attachment/alias.ts"
import type { Attachment } from "../../lib/cni/attachment.ts"
import { formatAddress } from "../../lib/ip/address.ts"
import { removeFile } from "../../lib/sys/file.ts"
import { writeStdout } from "../../lib/sys/process.ts"
import { BLIND, type Command, DONE, type Options, Unusable } from "../command.ts"
import { formatFrom } from "../format.ts"
import type { Attached } from "../survey/attached.ts"
import { beingAdded } from "../survey/leases.ts"
import type { NetworkList } from "../survey/network-list.ts"
import { Survey } from "../survey/survey.ts"
import { callPlugin } from "./plugin-call.ts"

export const gcCommand: Command = {
  usage: "gc NETWORK --dry-run | --yes [-o json]",
  purpose: "removes what pods left behind that are gone",
  help: `Pods that a runtime remembers and whose network namespace exists keep what they have. Of others, leases, links and rules
of the network go: DEL for those that are remembered, then GC, by the network's own plugins. What came with a lease of the last
two minutes stays: its ADD may be under way.
--dry-run lists leases, links and remembered attachments that would go; rules go with them.
Exit status: 0 done, 2 not all can be seen, or removed.
`,
  minArguments: 1,
  maxArguments: 1,
  options: { "--dry-run": "flag", "--yes": "flag", "-o": "value" },
  unable: BLIND,
  run: ([network = ""], options) => collect(network, options),
}

function collect(network: string, options: Options): number {
  const format = formatFrom(options)
  if (options.has("--dry-run") === options.has("--yes")) throw new Unusable("say --dry-run or --yes")
  using survey = new Survey()
  const list = listOf(survey, network)
  const own = survey.attached.filter((attached) => attached.network === network)
  refuseUnseen(survey)
  const gone = own.filter(({ netns }) => netns !== "" && survey.isGone(netns))
  const adding = beingAdded(survey.leases).filter(
    (each) => each.network === network && !own.some(({ containerId }) => containerId === each.containerId),
  )
  const survivors = [...own.filter((attached) => !gone.includes(attached)), ...adding]
  const stale = listStale(survey, network, gone, survivors)
  const lines = stale.map(({ kind, name, why }) => `${kind} ${name}${why}\n`)
  if (format === "text") writeStdout(lines.join("") || `nothing of ${network} is stale\n`)
  else writeStdout(`${JSON.stringify({ network, stale: stale.map(({ why: _, ...each }) => each) }, null, 2)}\n`)
  if (options.has("--dry-run")) return DONE
  for (const attached of gone) release(survey, list, attached)
  for (const plugin of list.plugins) {
    const valid = survivors.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }))
    const config = { ...plugin.json, name: network, cniVersion: "1.1.0", "cni.dev/valid-attachments": valid }
    callPlugin(survey.places.plugins, { type: plugin.type, command: "GC", variables: {}, config })
  }
  return DONE
}

/** Returns the network as it is configured, or else as its pods were attached. Throws Unusable if nobody knows it. */
function listOf({ networks, attached }: Survey, network: string): NetworkList {
  const known = [...networks.map(({ list }) => list), ...attached.map(({ list }) => list)]
  const list = known.find((each) => each?.name === network)
  if (!list)
    throw new Unusable(`no network ${JSON.stringify(network)} is configured here, and no pod is attached to one`)
  return list
}

/** Throws Unusable if there may be pods that cannot be seen: theirs would go, too. */
function refuseUnseen({ unseen: [problem] }: Survey): void {
  if (problem !== undefined) throw new Unusable(`not all pods can be seen, so that nothing is removed: ${problem}`)
}

/** Something that is left of a pod that is gone. */
interface Stale {
  readonly kind: "attachment" | "lease" | "link"
  /** The pod and its interface, the address, the link. */
  readonly name: string
  readonly container: string | undefined
  /** The rest of a line for people. */
  readonly why: string
}

function listStale(
  { leases, links }: Survey,
  network: string,
  gone: readonly Attached[],
  survivors: readonly Attachment[],
): Stale[] {
  const isKept = (containerId: string | undefined) => survivors.some((kept) => kept.containerId === containerId)
  const attachments = gone.map(({ pod, ifname, netns, containerId: container }) => {
    return { kind: "attachment", name: `${pod} ${ifname}`, container, why: `: ${netns} is gone` } as const
  })
  const stale = leases.filter((lease) => lease.network === network && !isKept(lease.containerId))
  const addresses = stale.map(({ address, containerId: container }) => {
    return { kind: "lease", name: formatAddress(address), container, why: ` of ${container ?? "nobody"}` } as const
  })
  const ends = links.flatMap(({ name, alias }) => {
    const { network: of, containerId: container } = attachmentInAlias(alias) ?? {}
    return of === network && !isKept(container) ? [{ kind: "link", name, container, why: ` (${alias})` } as const] : []
  })
  return [...attachments, ...addresses, ...ends]
}

/** Has the plugins forget the attachment, the last one first, and then libcni's cache: as DEL by its runtime does. */
function release({ places }: Survey, current: NetworkList, attached: Attached): void {
  const { network, containerId, ifname, json, path } = attached
  const list = attached.list ?? current
  const variables = { CNI_CONTAINERID: containerId, CNI_IFNAME: ifname, CNI_NETNS: "" }
  for (const { type, json: config } of list.plugins.toReversed()) {
    const runtimeConfig = json.capabilities
    const whole = {
      ...config,
      name: network,
      cniVersion: list.cniVersion,
      runtimeConfig,
      prevResult: json.result ?? undefined,
    }
    callPlugin(places.plugins, { type, command: "DEL", variables, config: whole })
  }
  removeFile(path)
}
