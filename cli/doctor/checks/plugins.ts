import { versions } from "../../../lib/cni/version.ts"
import { openRead } from "../../../lib/sys/file.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import { host } from "../../../lib/sys/host.ts"
import { checked, SystemError } from "../../../lib/sys/system-error.ts"
import { plugins } from "../../../plugins/registry.ts"
import type { NetworkList } from "../../survey/network-list.ts"
import { canPolice } from "../../survey/policing.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds networks that ask for plugins which this node has not, or cannot run. */
export const checkPlugins: Check = function* (survey: Survey, subject): Generator<Finding> {
  if (subject) return
  for (const { list, path } of survey.networks) {
    if (!list) continue
    yield* unknownVersion(path, list)
    yield* unablePolice(survey, path, list)
    for (const type of pluginsOf(list)) yield* checkPlugin(survey, path, type)
  }
}

/** Returns the names of the list's plugins, those for addresses behind them. */
function pluginsOf({ plugins }: NetworkList): ReadonlySet<string> {
  const ipam = plugins.map(({ fields }) => fields.fields("ipam")?.string("type") ?? "")
  return new Set([...plugins.map(({ type }) => type), ...ipam].filter(Boolean))
}

/** The Go plugins know the versions that ours of the same name do. */
function* unknownVersion(path: string, list: NetworkList): Generator<Finding> {
  const { cniVersion } = list
  const isKnown = (known: readonly string[]) => known.includes(cniVersion)
  const evidence = [`${path}: "cniVersion": ${JSON.stringify(cniVersion)}`]
  const mend = `set a known cniVersion in ${path}`
  const yielded = (problem: string, known: readonly string[]) =>
    ({
      kind: "unknown-version",
      about: path,
      problem,
      evidence: [...evidence, `known: ${known.join(" ")}`],
      mend,
    }) as const
  if (!isKnown(versions)) return yield yielded("no plugin knows its cniVersion", versions)
  for (const type of pluginsOf(list)) {
    const known = Object.hasOwn(plugins, type) ? plugins[type]?.versions : undefined
    if (known && !isKnown(known)) yield yielded(`${type} does not know its cniVersion`, known)
  }
}

function* unablePolice(survey: Survey, path: string, list: NetworkList): Generator<Finding> {
  const asks = list.plugins.some(({ type, fields }) => type === "bandwidth" && fields.get("egressMode") === "police")
  if (!asks || survey.attempt(() => canPolice(survey.host.rtnetlink)) !== false) return
  yield {
    kind: "no-police",
    about: path,
    problem: "bandwidth is to police what pods send, and this kernel cannot: pods with a limit do not start",
    evidence: [`${path}: "egressMode": "police"`, "tc actions list action police: the kernel knows no such action"],
    cause: "the kernel was built without act_police, or its module is not installed",
    mend: `"egressMode": "ifb", or leave it out, in ${path}`,
  }
}

function* checkPlugin(survey: Survey, list: string, type: string): Generator<Finding> {
  const { places } = survey
  const path = survey.findPlugin(type)
  if (path === undefined) {
    const evidence = [`${list} names ${type}`, `not in ${places.plugins.join(" ")}`]
    const mend = `put ${type} into ${places.plugins[0]}: cni-ts install, if it is one of ours`
    return yield {
      kind: "no-plugin",
      about: type,
      problem: "a network needs this plugin, and it is not there",
      evidence,
      mend,
    }
  }
  const { permissions } = fileStatus(path)
  if ((permissions & 0o111) === 0) {
    const evidence = [`stat -c %a ${path}: ${permissions.toString(8)}`]
    yield {
      kind: "not-executable",
      about: path,
      problem: "this plugin cannot be executed",
      evidence,
      mend: `chmod 755 ${path}`,
    }
  }
  const machines = [path, "/proc/self/exe"].map(machineOf)
  if (machines[0] === undefined || machines[1] === undefined || machines[0] === machines[1]) return
  const evidence = [`${path}: ELF machine ${machines[0]}`, `this node: ${machines[1]}`]
  const mend = "install the release for this node's architecture"
  yield { kind: "other-architecture", about: path, problem: "this plugin is for another processor", evidence, mend }
}

/** Returns the number of the processor that an ELF file is for (e_machine); undefined for another file. */
function machineOf(path: string): number | undefined {
  try {
    using file = openRead(path)
    const header = new Uint8Array(20)
    if (checked(`read ${path}`, host.readAt(file.fd, header, 0)) < header.length) return undefined
    const view = new DataView(header.buffer)
    return view.getUint32(0) === 0x7f454c46 ? view.getUint16(18, true) : undefined
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
