import { Fields } from "../../lib/cni/fields.ts"
import { isObject, type Json, JsonError, parseJson } from "../../lib/cni/json.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { listLinks } from "../../lib/netlink/route/link.ts"
import { readText, removeFile, unlessMissing } from "../../lib/sys/file.ts"
import { linkStatus } from "../../lib/sys/file-status.ts"
import { type Ended, host } from "../../lib/sys/host.ts"
import { findExecutable, runExecutable, variable } from "../../lib/sys/process.ts"
import { printConfig, TIMEOUT_SECONDS } from "../gc/plugin-call.ts"
import { originalName } from "../record/wrapping.ts"
import type { NetworkList, PluginConfig } from "../survey/network-list.ts"
import { SCRATCH } from "../unshared.ts"
import { differenceOf } from "./difference.ts"
import { type CopiedDirectory, fileCommands, readTexts } from "./files.ts"
import { type Maker, makerOf } from "./maker.ts"
import { type PluginFiles, redirected } from "./plugin-files.ts"
import type { Scratch } from "./scratch.ts"
import { readStack, type StackCopy } from "./stack-copy.ts"
import { type Step, type Teller, tellStory } from "./story.ts"

/** The arguments of an ADD, beside the list. */
export interface Wish {
  readonly list: NetworkList
  readonly containerId: string
  readonly ifname: string
  /** CNI_ARGS */
  readonly args: string
  /** The runtime's value for each capability. */
  readonly capabilities: Readonly<Record<string, Json>>
  /** True if firewalld is at work on the node, which plugins may ask; here it cannot be. */
  readonly firewalld: boolean
  /** The directories of plugins. */
  readonly path: readonly string[]
}

/** The outcome of a plugin's ADD. */
export interface Part {
  readonly type: string
  /** Undefined for one that was not run. */
  readonly maker: Maker | undefined
  readonly steps: readonly Step[]
  /** The difference of the state, if the plugin does not tell its steps. */
  readonly difference: readonly string[]
  /** Set if it answered an error. */
  readonly failed?: true
  /** Its words on stderr, line by line. */
  readonly says: readonly string[]
}

/** An error as plugins answer it. */
export interface Failure {
  readonly type: string
  readonly code: number
  readonly msg: string
  readonly details: string
}

export interface Rehearsal {
  readonly parts: readonly Part[]
  /** The answer of the last plugin, if all succeed. */
  readonly result?: Json
  readonly failure?: Failure
  /** Says why there is no telling how it would end. */
  readonly unknown?: string
}

/** Calls the list's plugins in the scratch namespaces, as libcni does, until one fails. */
export function rehearse(wish: Wish, scratch: Scratch, files: PluginFiles, teller: Teller): Rehearsal {
  const parts: Part[] = []
  let result: Json | undefined
  for (const plugin of wish.list.plugins) {
    const { type } = plugin
    const refusal = refusalOf(plugin, wish)
    if (refusal) return { parts, ...refusal }
    const maker = makerOf(type, findExecutable(type, wish.path) ?? "")
    const run = () => call(plugin, wish, { scratch, files, result })
    const { ended, told } = watch(run, { scratch, files: files.of(plugin), teller, tells: maker === "cni-ts" })
    const stdout = host.decode(ended.stdout)
    const says = files.named(host.decode(ended.stderr)).split("\n").filter(Boolean)
    if (ended.exitCode !== 0) {
      parts.push({ type, maker, steps: [], difference: [], says, failed: true })
      return { parts, failure: failureIn(type, files.named(stdout), ended) }
    }
    parts.push({ type, maker, says, ...told() })
    result = parse(stdout)
  }
  return { parts, result: parse(files.named(JSON.stringify(result ?? {}))) }
}

/** Returns why the plugin cannot be run, or must not. */
function refusalOf(
  { type, fields }: PluginConfig,
  { path, firewalld }: Wish,
): Pick<Rehearsal, "failure" | "unknown"> | undefined {
  const ipam = fields.fields("ipam")?.string("type") ?? ""
  for (const name of [type, ipam].filter(Boolean)) {
    const found = name.includes("/") ? undefined : findExecutable(name, path)
    if (!found) {
      const details = "install it there, or correct the type in the list"
      return { failure: { type, code: 0, msg: `plugin ${name} is not in ${path.join(" ")}`, details } }
    }
    if (unlessMissing(() => linkStatus(`${found.slice(0, -name.length)}${originalName(name)}`)))
      return { unknown: `the calls of ${name} are recorded, and this one would be, too: cni-ts record --stop` }
    if (!makerOf(name, found)) return { unknown: `${found} is not known: it might change the node, so it was not run` }
  }
  const backend = fields.string("backend") ?? ""
  if (type !== "firewall" || !(backend === "firewalld" || (backend === "" && firewalld))) return undefined
  return { unknown: "firewall asks firewalld, which would change the node" }
}

interface Situation {
  readonly scratch: Scratch
  readonly files: PluginFiles
  readonly result: Json | undefined
}

const LOG = `${SCRATCH}/log`

function call(plugin: PluginConfig, wish: Wish, { scratch, files, result }: Situation): Ended {
  const { list, capabilities } = wish
  const { type, json } = plugin
  const wanted = Object.entries(isObject(json["capabilities"] ?? null) ? (json["capabilities"] as object) : {})
  const given = wanted.filter(([name, on]) => on === true && capabilities[name] !== undefined)
  const runtimeConfig =
    given.length > 0 ? Object.fromEntries(given.map(([name]) => [name, capabilities[name]])) : undefined
  const config = {
    ...redirected(plugin, files, list),
    ...{ name: list.name, cniVersion: list.cniVersion, runtimeConfig, prevResult: result, cniTsLog: LOG },
  }
  const env = {
    ...{ PATH: variable("PATH"), CNI_COMMAND: "ADD", CNI_CONTAINERID: wish.containerId, CNI_NETNS: scratch.pod },
    ...{ CNI_IFNAME: wish.ifname, CNI_ARGS: wish.args, CNI_PATH: wish.path.join(":"), CNI_TS_NETLINK: "brief" },
    ...{ XTABLES_LOCKFILE: `${SCRATCH}/xtables.lock`, DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${SCRATCH}/nothing` },
  }
  const executable = findExecutable(type, wish.path) ?? ""
  return runExecutable(executable, { env, stdin: host.encode(printConfig(config)), timeoutSeconds: TIMEOUT_SECONDS })
}

interface View {
  readonly scratch: Scratch
  /** The directories that the plugin uses. */
  readonly files: readonly CopiedDirectory[]
  readonly teller: Teller
  /** True for a plugin that logs what it does; of another one the state before and after is compared. */
  readonly tells: boolean
}

/** Has the plugin run; `told` returns what happened. */
function watch(run: () => Ended, { scratch, files, teller, tells }: View) {
  removeFile(LOG)
  const states = () => (tells ? [] : [scratch.host, scratch.podStack].map(readStack))
  const [before, texts] = [states(), files.map((directory) => readTexts(directory))]
  const ended = run()
  const told = (): Pick<Part, "steps" | "difference"> => {
    const written = files.flatMap((directory, index) => fileCommands(directory, texts[index] ?? new Map()))
    const first: Step[] = written.length > 0 ? [{ inPod: false, commands: written }] : []
    teller.host.late = namesIn(scratch.host)
    teller.pod.late = namesIn(scratch.podStack)
    const steps = tellStory(unlessMissing(() => readText(LOG)) ?? "", teller)
    for (const { links, late } of [teller.host, teller.pod]) for (const entry of late) links.set(...entry)
    return {
      steps: [...first, ...steps],
      difference: states().flatMap((after, index) => compare(before, after, index)),
    }
  }
  return { ended, told }
}

/** Returns how the node's state, the first, or the pod's differs. */
function compare(before: readonly StackCopy[], after: StackCopy, index: number): string[] {
  const lines = before[index] ? differenceOf(before[index], after) : []
  return lines.map((line) => (index === 0 ? line : `${line.slice(0, 2)}pod: ${line.slice(2)}`))
}

/** Returns the names of a namespace's links by their indexes. */
export function namesIn({ rtnetlink }: NetworkStack): Map<number, string> {
  return new Map(listLinks(rtnetlink).links.map(({ index, name }) => [index, name]))
}

function failureIn(type: string, stdout: string, { timedOut, signal }: Ended): Failure {
  const answer = parse(stdout)
  const fields = isObject(answer) ? new Fields(answer) : new Fields({})
  const [code, msg, details] = [fields.get("code"), fields.get("msg"), fields.get("details")]
  const silent = timedOut
    ? "it does not end"
    : signal === undefined
      ? "it does not say why"
      : `signal ${signal} ends it`
  return {
    type,
    code: typeof code === "number" ? code : 0,
    msg: typeof msg === "string" && msg !== "" ? msg : stdout.trim() || silent,
    details: typeof details === "string" ? details : "",
  }
}

function parse(text: string): Json {
  try {
    return parseJson(text)
  } catch (error) {
    if (error instanceof JsonError) return null
    throw error
  }
}
