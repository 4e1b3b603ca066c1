import { versions } from "../../../lib/cni/version.ts"
import { openRead } from "../../../lib/sys/file.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import { host } from "../../../lib/sys/host.ts"
import { findExecutable } from "../../../lib/sys/process.ts"
import { checked, SystemError } from "../../../lib/sys/system-error.ts"
import type { NetworkList } from "../../survey/network-list.ts"
import type { Survey } from "../../survey/survey.ts"
import type { Check, Finding } from "../finding.ts"

/** Finds networks that ask for plugins which this node has not, or cannot run. */
export const checkPlugins: Check = function* (survey: Survey, subject): Generator<Finding> {
  if (subject) return
  for (const { list, path } of survey.networks) {
    if (!list) continue
    if (!versions.some((known) => known === list.cniVersion)) yield unknownVersion(path, list.cniVersion)
    for (const type of pluginsOf(list)) yield* checkPlugin(survey, path, type)
  }
}

/** Returns the names of the list's plugins, those for addresses behind them. */
function pluginsOf({ plugins }: NetworkList): ReadonlySet<string> {
  const ipam = plugins.map(({ fields }) => fields.fields("ipam")?.string("type") ?? "")
  return new Set([...plugins.map(({ type }) => type), ...ipam].filter(Boolean))
}

function unknownVersion(path: string, version: string): Finding {
  const evidence = [`${path}: "cniVersion": ${JSON.stringify(version)}`, `known: ${versions.join(" ")}`]
  const mend = `set a known cniVersion in ${path}`
  return { kind: "unknown-version", about: path, problem: "no plugin knows its cniVersion", evidence, mend }
}

function* checkPlugin({ places }: Survey, list: string, type: string): Generator<Finding> {
  const path = findExecutable(type, places.plugins)
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
