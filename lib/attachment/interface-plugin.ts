import { type Attachment, attachmentOf } from "../cni/attachment.ts"
import { requirePrevResult } from "../cni/config.ts"
import { type Delegate, findDelegate } from "../cni/delegate.ts"
import { Failures } from "../cni/failures.ts"
import type { Call, NetworkConfig, Plugin } from "../cni/plugin.ts"
import { emptyResult, type Result } from "../cni/result.ts"
import { assertExpressible } from "../cni/result-print.ts"
import { orUnavailable } from "../cni/unavailable.ts"
import { readSurvivors, type Survivors } from "../cni/valid-attachments.ts"
import { versions } from "../cni/version.ts"
import { NetworkStack } from "../net/stack.ts"
import { Undo } from "../net/undo.ts"
import { takeAddresses } from "./addresses.ts"
import { readIpamType } from "./interface-keys.ts"
import { openPod, openPodAlone } from "./pod-stack.ts"

/** A plugin that makes an interface for a pod: what it does itself, beside what interfacePlugin() does for all of them. */
export interface InterfacePlugin<Config extends IpamConfig> {
  readonly name: string
  /** Reads and checks all of the configuration; throws code 7 that names the key. */
  readonly readConfig: (config: NetworkConfig) => Config
  /** Makes the interface and returns the result. What it made it gives to `undo`, which removes it if it throws. */
  readonly add: (context: AddContext<Config>) => Result
  /** Compares the node and the pod with the result of ADD; throws code 104 that names the first difference. */
  readonly check: (context: CheckContext<Config>, result: Result) => void
  /** Throws why ADD could not be served now. */
  readonly status: (host: NetworkStack, config: Config, call: Call) => void
  readonly removes: Removable
}

export interface IpamConfig {
  /** The IPAM plugin; empty for a network without addresses. */
  readonly ipamType: string
}

/** The attachment a call is about, with the network stacks in which its two ends live. */
export interface CheckContext<Config> {
  readonly call: Call
  readonly config: Config
  readonly attachment: Attachment
  readonly host: NetworkStack
  readonly pod: NetworkStack
}

/** The same for ADD, which is about to make it. */
export interface AddContext<Config> extends CheckContext<Config> {
  readonly undo: Undo
  /** Has IPAM give the pod addresses, which go back if ADD fails. They are none on a network without IPAM. */
  readonly takeAddresses: () => Result
}

/** The removal of what a plugin makes, for DEL and GC. */
export interface Removable {
  /** Removes all that the attachment has, whoever made it and whatever is left of it; nothing is fine. */
  readonly remove: (call: Call) => void
  /** Removes what is of no attachment that survives; a failure does not stop the others. Left out if all of it goes with the pod's namespace. */
  readonly collect?: (call: Call, survivors: Survivors, failures: Failures) => void
}

/**
 * Returns the plugin. ADD is all or nothing, and the only one at work in the pod. DEL and GC need of the configuration only what names the
 * IPAM plugin: one that would fail ADD must not keep a pod from being cleaned up. Addresses are released last, so that nobody gets
 * them while this pod may still use them.
 */
export function interfacePlugin<Config extends IpamConfig>(parts: InterfacePlugin<Config>): Plugin {
  return {
    name: parts.name,
    versions,
    add: (call) => add(parts, call),
    del: (call) => {
      const ipam = ipamOf(call, readIpamType(call.config.fields))
      parts.removes.remove(call)
      ipam()?.del()
    },
    check: (call) => check(parts, call),
    gc: (call) => collect(parts.removes, call),
    status: (call) => status(parts, call),
  }
}

/** Returns a function that finds the IPAM plugin: one that is gone must not keep the interface from being removed. */
function ipamOf(call: Call, type: string): () => Delegate | undefined {
  return () => (type === "" ? undefined : findDelegate(call, type))
}

function add<Config extends IpamConfig>(parts: InterfacePlugin<Config>, call: Call): Result {
  const config = parts.readConfig(call.config)
  assertExpressible(call.config.cniVersion, config.ipamType !== "")
  const ipam = ipamOf(call, config.ipamType)()
  using host = NetworkStack.host()
  using pod = openPodAlone(call.environment.netns)
  using undo = new Undo()
  const take = () => (ipam ? takeAddresses(ipam, config.ipamType, undo) : emptyResult)
  const result = parts.add({ call, config, attachment: attachmentOf(call), host, pod, undo, takeAddresses: take })
  undo.commit()
  return result
}

function check<Config extends IpamConfig>(parts: InterfacePlugin<Config>, call: Call): void {
  const config = parts.readConfig(call.config)
  using host = NetworkStack.host()
  using pod = openPod(call.environment.netns)
  ipamOf(call, config.ipamType)()?.check()
  const result = requirePrevResult(call.config)
  parts.check({ call, config, attachment: attachmentOf(call), host, pod }, result)
}

function collect(removes: Removable, call: Call): void {
  const ipam = ipamOf(call, readIpamType(call.config.fields))
  const failures = new Failures()
  removes.collect?.(call, readSurvivors(call), failures)
  failures.capture(() => ipam()?.gc())
  failures.rethrow()
}

function status<Config extends IpamConfig>(parts: InterfacePlugin<Config>, call: Call): void {
  using host = NetworkStack.host()
  const ipam = orUnavailable(() => {
    const config = parts.readConfig(call.config)
    parts.status(host, config, call)
    return ipamOf(call, config.ipamType)()
  })
  ipam?.status() // it says itself why it is not available
}
