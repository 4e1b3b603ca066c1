import { isObject, type JsonObject } from "../../lib/cni/json.ts"
import { host } from "../../lib/sys/host.ts"
import { findExecutable, runExecutable } from "../../lib/sys/process.ts"
import { signalName } from "../../lib/sys/signals.ts"
import type { RecordedFile } from "../record/read.ts"
import type { Answer, RecordedCall } from "../record/recorded-call.ts"
import { compareAnswers, type Difference } from "./compare.ts"
import { configOf } from "./config.ts"
import { Names } from "./names.ts"
import { replaceWords } from "./replace.ts"
import { DATA, PLUGINS, type ScratchMachine } from "./scratch.ts"

/** A recorded call, and what became of it. */
export interface Replayed {
  readonly file: string
  readonly plugin: string
  readonly command: string
  readonly verdict: "same" | "different" | "not replayed"
  /** Says why it is not replayed. */
  readonly reason?: string
  readonly differences: readonly Difference[]
  readonly milliseconds: { readonly recorded?: number | undefined; readonly replayed?: number | undefined }
}

/** Variables of the recorded environment that are given to plugins again. */
const GIVEN = /^(?:CNI_|PATH$)/

/** As long as runtimes wait for a plugin. */
const TIMEOUT_SECONDS = 120

/** Makes recorded calls again, one after the other, in a machine that is empty at the beginning. */
export class Replay {
  readonly #machine: ScratchMachine
  readonly #names = new Names()
  /** Attachments that an ADD has made. */
  readonly #attached = new Set<string>()
  /** Directories of the recorded node in which plugins keep files, and those that stand for them. */
  readonly #directories = new Map<string, string>()

  constructor(machine: ScratchMachine) {
    this.#machine = machine
  }

  call({ name, call }: RecordedFile): Replayed {
    const { plugin, command, answer, milliseconds } = call
    const about = { file: name, plugin, command }
    const reason = this.#reasonAgainst(call)
    if (reason !== undefined || !answer)
      return {
        ...about,
        verdict: "not replayed",
        reason: reason ?? "",
        differences: [],
        milliseconds: { recorded: milliseconds },
      }
    const began = host.uptime()
    const replayed = this.#run(call)
    const took = Math.round((host.uptime() - began) * 100) / 100
    const container = call.env["CNI_CONTAINERID"] ?? ""
    const differences = compareAnswers(answer, replayed, this.#names, container)
    this.#note(call, replayed)
    const verdict = differences.length === 0 ? "same" : "different"
    return { ...about, verdict, differences, milliseconds: { recorded: milliseconds, replayed: took } }
  }

  #reasonAgainst(call: RecordedCall): string | undefined {
    const config = configOf(call)
    if (isDelegated(call, config)) return `${config["type"]} calls it`
    if (!call.answer) return "it did not end"
    if (call.cut) return `only a part of ${call.cut.join(" and ")} is recorded`
    if (!findExecutable(call.plugin, [PLUGINS])) return "there is no such plugin here"
    if (call.command === "CHECK" && !this.#attached.has(attachmentOf(call))) return "its ADD is not recorded"
    return undefined
  }

  #run(call: RecordedCall): Answer {
    const words = this.#wordsFor(call)
    const inward = new Map([...this.#names.replacements, ...words])
    const outward = new Map([...words].map(([recorded, here]) => [here, recorded]))
    const variables = Object.entries(call.env).filter(([name]) => GIVEN.test(name))
    const replaced = variables.map(([name, value]) => [name, replaceWords(value, inward)])
    const env = { ...Object.fromEntries(replaced), CNI_PATH: PLUGINS }
    const stdin = host.encode(replaceWords(call.stdin, inward))
    const ended = runExecutable(`${PLUGINS}/${call.plugin}`, { env, stdin, timeoutSeconds: TIMEOUT_SECONDS })
    const { exitCode, signal } = ended
    return {
      ...(exitCode !== undefined && { exitCode }),
      ...(signal !== undefined && { signal: signalName(signal) }),
      stdout: replaceWords(host.decode(ended.stdout), outward),
      stderr: replaceWords(host.decode(ended.stderr), outward),
    }
  }

  /** Returns the paths of this machine that stand for the recorded node's. */
  #wordsFor(call: RecordedCall): Map<string, string> {
    const words = new Map(this.#directories)
    for (const [, path = ""] of call.stdin.matchAll(/"dataDir"\s*:\s*"(\/[^"\\]*)"/g)) {
      const here = this.#directories.get(path) ?? `${DATA}/${this.#directories.size + 1}`
      this.#directories.set(path, here)
      words.set(path, here)
    }
    const { CNI_NETNS: netns = "", CNI_CONTAINERID: container, CNI_PATH: path = "" } = call.env
    const sandbox = netns === "" ? undefined : this.#machine.pod(`${container} ${netns}`)
    if (sandbox !== undefined) words.set(netns, sandbox)
    const [directory = ""] = path.split(":")
    if (directory !== "") words.set(directory, PLUGINS)
    return words
  }

  #note(call: RecordedCall, { exitCode }: Answer): void {
    if (exitCode !== 0) return
    if (call.command === "ADD") this.#attached.add(attachmentOf(call))
    if (call.command !== "DEL") return
    this.#attached.delete(attachmentOf(call))
    this.#names.forget(call.env["CNI_CONTAINERID"] ?? "")
  }
}

/** Returns true for a call that the plugin of that configuration makes, as its IPAM: it makes it again. */
function isDelegated({ plugin }: RecordedCall, config: JsonObject): boolean {
  const { type, ipam } = config
  return type !== plugin && ipam !== undefined && isObject(ipam) && ipam["type"] === plugin
}

function attachmentOf(call: RecordedCall): string {
  return JSON.stringify([call.plugin, configOf(call)["name"], call.env["CNI_CONTAINERID"], call.env["CNI_IFNAME"]])
}
