import type { Checkable } from "../../../lib/attachment/chained-plugin.ts"
import { readMasquerade } from "../../../lib/attachment/interface-keys.ts"
import { ensureMasquerade, masqueradeProblem, removeMasquerade } from "../../../lib/attachment/masquerade.ts"
import { CniError, code } from "../../../lib/cni/errors.ts"
import { Fields } from "../../../lib/cni/fields.ts"
import type { JsonObject } from "../../../lib/cni/json.ts"
import type { Log } from "../../../lib/cni/log.ts"
import type { Call } from "../../../lib/cni/plugin.ts"
import { latest, versions } from "../../../lib/cni/version.ts"
import { NetworkStack } from "../../../lib/net/stack.ts"
import { Undo } from "../../../lib/net/undo.ts"
import { bandwidth } from "../../../plugins/bandwidth/plugin.ts"
import { firewall } from "../../../plugins/firewall/plugin.ts"
import { portmap } from "../../../plugins/portmap/plugin.ts"
import { sbr } from "../../../plugins/sbr/plugin.ts"
import { tuning } from "../../../plugins/tuning/plugin.ts"
import type { Attached } from "../../survey/attached.ts"
import type { PluginConfig } from "../../survey/network-list.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Plugins whose CHECK reads the kernel alone, and what is wrong if it fails. */
const chained: Readonly<
  Record<string, { readonly plugin: Checkable; readonly kind: string; readonly problem: string }>
> = {
  portmap: { plugin: portmap, kind: "host-ports", problem: "its host ports do not lead to it" },
  bandwidth: { plugin: bandwidth, kind: "limits", problem: "its bandwidth is not limited as it was asked for" },
  firewall: { plugin: firewall, kind: "firewall-rules", problem: "rules that let its traffic through are missing" },
  sbr: { plugin: sbr, kind: "routing", problem: "its packets do not leave by the interface of their source address" },
  tuning: { plugin: tuning, kind: "tuning", problem: "its interface is not tuned as it was asked for" },
}

/** Finds what plugins behind the first one made and something else has removed or changed since: by their own CHECK. */
export const checkChained: Check = function* (survey: Survey, subject): Generator<Finding> {
  for (const attached of survey.attached) {
    if (subject && !subject.containerIds.has(attached.containerId)) continue
    if (!attached.list || attached.netns === "" || survey.isGone(attached.netns)) continue
    for (const plugin of attached.list.plugins) yield* checkPlugin(survey, attached, plugin)
    yield* checkMasquerade(survey, attached)
  }
}

function* checkPlugin(survey: Survey, attached: Attached, { type, json }: PluginConfig): Generator<Finding> {
  const known = Object.hasOwn(chained, type) ? chained[type] : undefined
  const difference = known && survey.attempt(() => differenceIn(known.plugin, survey, attached, json))
  if (!known || !difference) return
  yield {
    kind: known.kind,
    about: attached.pod,
    problem: known.problem,
    evidence: [`${type} on ${attached.network}: ${difference}`],
    cause: "something else changed it since ADD, such as nft flush ruleset or a firewall's reload",
    mend: "cni-ts repair --yes",
    repair: () => void known.plugin.add(callOf("ADD", attached, json)),
  }
}

/** Returns what CHECK says is different; the empty text if nothing is. Throws whatever else keeps it from comparing. */
function differenceIn(plugin: Checkable, survey: Survey, attached: Attached, json: JsonObject): string {
  const { containerId, netns, result } = attached
  try {
    plugin.checkOn(callOf("CHECK", attached, json), {
      host: survey.hostFor(containerId),
      openPod: () => survey.pod(netns)?.stack ?? NetworkStack.pod(netns),
      result,
    })
    return ""
  } catch (error) {
    if (error instanceof CniError && error.code === code.changed) return error.message
    throw error
  }
}

const silent: Log = { removed: () => undefined, noticed: () => undefined, timed: (_, step) => step() }

/** Returns the call that the attachment's runtime would make of the plugin. */
function callOf(
  command: "ADD" | "CHECK",
  { list, network, containerId, ifname, netns, json }: Attached,
  config: JsonObject,
): Call {
  const version = versions.find((known) => known === list?.cniVersion) ?? latest
  const whole = {
    ...config,
    name: network,
    cniVersion: version,
    runtimeConfig: json.capabilities,
    prevResult: json.result,
  }
  const environment = { command, containerId, netns, ifname, args: "", path: [], netnsOverride: false }
  const fields = new Fields(whole)
  const read = { name: network, cniVersion: version, fields, bytes: new Uint8Array() }
  return { environment, config: read, log: silent, siblings: {} }
}

function* checkMasquerade(survey: Survey, attached: Attached): Generator<Finding> {
  const { list, network, containerId, ifname, result, pod } = attached
  const plugin = list?.plugins.find(({ type }) => ["bridge", "ptp"].includes(type))
  const backend = plugin && survey.attempt(() => readMasquerade(plugin.fields))
  if (!backend) return
  const attachment = { network, containerId, ifname }
  const wanted = { attachment, backend, addresses: result.ips.map(({ address }) => address) }
  const problem = survey.attempt(() => masqueradeProblem(survey.hostFor(containerId), wanted))
  if (problem === undefined) return
  yield {
    kind: "masquerade",
    about: pod,
    problem: "its packets leave the node with the pod's own address, so that no answer comes back",
    evidence: [problem],
    cause: "something else removed the rules since ADD, such as nft flush ruleset or a firewall's reload",
    mend: "cni-ts repair --yes",
    repair: () => {
      removeMasquerade(survey.host, attachment)
      using undo = new Undo()
      ensureMasquerade(survey.host, { ...wanted, undo, log: silent })
      undo.commit()
    },
  }
}
