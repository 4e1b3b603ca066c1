import { type Attachment, attachmentOf } from "../cni/attachment.ts"
import { readPrevResult, requirePrevResult } from "../cni/config.ts"
import { invalidConfig } from "../cni/errors.ts"
import { Failures } from "../cni/failures.ts"
import type { Call, NetworkConfig, Plugin } from "../cni/plugin.ts"
import type { Result } from "../cni/result.ts"
import { orUnavailable } from "../cni/unavailable.ts"
import { readSurvivors, type Survivors } from "../cni/valid-attachments.ts"
import { type Version, versions } from "../cni/version.ts"
import { NetworkStack } from "../net/stack.ts"
import { Undo } from "../net/undo.ts"
import { openPod } from "./pod-stack.ts"

/** A plugin that adds to an interface which others made: what it does itself, beside what chainedPlugin() does for all of them. */
export interface ChainedPlugin<Config> {
  readonly name: string
  /** All versions of CNI, unless it is left out. */
  readonly versions?: readonly Version[]
  /** The plugins that it may stand behind, for the message if it stands behind none. */
  readonly behind: string
  /** Reads and checks all of the configuration, and of CNI_ARGS what it knows; throws code 7 that names the key. */
  readonly readConfig: (config: NetworkConfig, args: string) => Config
  /** Says if there is nothing to do: ADD hands the result on as it came, and CHECK has nothing to compare. */
  readonly isIdle: (config: Config) => boolean
  /** Adds to the interface and returns the result for the next plugin. What it made it gives to `undo`, which removes it if it throws. */
  readonly add: (context: ChainedAddContext<Config>, previous: Result) => Result
  /** Compares the node with what ADD made of the result; throws code 104 that names the first difference. */
  readonly check: (context: ChainedCheckContext<Config>, result: Result) => void
  /** Throws why ADD could not be served now. */
  readonly status: (host: NetworkStack, config: Config, call: Call) => void
  /** Removes all that it added for the attachment, whoever made it and whatever is left of it. No part of the configuration has to make sense. */
  readonly remove: (host: NetworkStack, attachment: Attachment, call: Call) => void
  /** Removes what is of no attachment that survives. */
  readonly collect: (host: NetworkStack, call: Call, survivors: Survivors, failures: Failures) => void
  /** As remove(), after an ADD whose result could not be handed over, if that has to remove more. */
  readonly takeBack?: (host: NetworkStack, attachment: Attachment, call: Call) => void
}

/** The attachment a call is about, with the network stack of the node. */
export interface ChainedCheckContext<Config> {
  readonly call: Call
  readonly config: Config
  readonly attachment: Attachment
  readonly host: NetworkStack
  /** Opens the pod's network stack, at most once; it is closed when all is done, or taken back. Throws code 8 if there is none. */
  readonly openPod: () => NetworkStack
}

/** The same for ADD, which is about to add to the interface. */
export interface ChainedAddContext<Config> extends ChainedCheckContext<Config> {
  readonly undo: Undo
}

/** A chained plugin, whose CHECK can be asked on stacks that are open already, about a previous result that has been read. */
export interface Checkable extends Plugin {
  readonly checkOn: (call: Call, known: Known) => void
}

interface Known extends Pick<ChainedCheckContext<unknown>, "host" | "openPod"> {
  readonly result: Result
}

/** Returns the plugin. ADD is all or nothing; DEL and GC need neither the pod's namespace nor a previous result. */
export function chainedPlugin<Config>(parts: ChainedPlugin<Config>): Checkable {
  const { name, takeBack } = parts
  return {
    name,
    versions: parts.versions ?? versions,
    add: (call) => add(parts, call),
    del: removing(parts.remove),
    ...(takeBack && { takeBack: removing(takeBack) }),
    check: (call) => check(parts, call),
    checkOn: (call, known) => check(parts, call, known),
    gc: (call) => {
      const survivors = readSurvivors(call)
      const failures = new Failures()
      using host = NetworkStack.host()
      parts.collect(host, call, survivors, failures)
      failures.rethrow()
    },
    status: (call) => {
      using host = NetworkStack.host()
      orUnavailable(() => parts.status(host, readConfig(parts, call), call))
    },
  }
}

function readConfig<Config>(parts: ChainedPlugin<Config>, { config, environment }: Call): Config {
  return parts.readConfig(config, environment.args)
}

/** The pod's network stack, opened when it is first asked for: not every plugin works in the pod. */
class LazyPod implements Disposable {
  readonly #netns: string
  #pod: NetworkStack | undefined

  constructor({ environment }: Call) {
    this.#netns = environment.netns
  }

  readonly open = (): NetworkStack => {
    this.#pod ??= openPod(this.#netns)
    return this.#pod
  };

  [Symbol.dispose](): void {
    this.#pod?.[Symbol.dispose]()
  }
}

function add<Config>(parts: ChainedPlugin<Config>, call: Call): Result {
  const config = readConfig(parts, call)
  const previous = readPrevResult(call.config)
  if (!previous) throw invalidConfig("prevResult", "must be called as chained plugin", `put it behind ${parts.behind}`)
  if (parts.isIdle(config)) return previous
  using host = NetworkStack.host()
  using pod = new LazyPod(call)
  using undo = new Undo()
  const context = { call, config, attachment: attachmentOf(call), host, openPod: pod.open, undo }
  const result = parts.add(context, previous)
  undo.commit()
  return result
}

function check<Config>(parts: ChainedPlugin<Config>, call: Call, known?: Known): void {
  const config = readConfig(parts, call)
  const result = known?.result ?? requirePrevResult(call.config)
  if (parts.isIdle(config)) return
  const context = { call, config, attachment: attachmentOf(call) }
  if (known) {
    parts.check({ ...context, host: known.host, openPod: known.openPod }, result)
    return
  }
  using host = NetworkStack.host()
  using pod = new LazyPod(call)
  parts.check({ ...context, host, openPod: pod.open }, result)
}

function removing(remove: ChainedPlugin<never>["remove"]): (call: Call) => void {
  return (call) => {
    using host = NetworkStack.host()
    remove(host, attachmentOf(call), call)
  }
}
