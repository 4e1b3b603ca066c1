import { CniError, code } from "../cni/errors.ts"
import { NetworkStack } from "../net/stack.ts"
import { failedWith } from "../sys/system-error.ts"

/** Errors of opening or entering a path that is no network namespace, or none any more. Any other is not the path's fault. */
const NO_NAMESPACE = ["ENOENT", "ENOTDIR", "EINVAL", "EISDIR", "ELOOP", "ENXIO", "ENAMETOOLONG"] as const

/** Opens the pod's network stack. Throws code 8 if CNI_NETNS leads to no network namespace. */
export function openPod(netns: string): NetworkStack {
  try {
    return NetworkStack.pod(netns)
  } catch (error) {
    if (!failedWith(error, ...NO_NAMESPACE)) throw error
    const advice = failedWith(error, "ENOENT")
      ? "the pod's sandbox is gone; let the runtime make a new one"
      : "CNI_NETNS must be the path of a network namespace, such as /run/netns/NAME or /proc/PID/ns/net"
    throw new CniError(
      code.invalidNetns,
      `failed to open CNI_NETNS ${JSON.stringify(netns)}: ${error.message}`,
      advice,
      {
        cause: error,
      },
    )
  }
}

/**
 * As openPod, for an ADD that attaches the pod: waits until no other ADD is at work in it. So an unfinished link was left by a killed ADD, and
 * may be replaced. Throws TimedOut.
 */
export function openPodAlone(netns: string): NetworkStack {
  const pod = openPod(netns)
  try {
    pod.namespace?.lock()
    return pod
  } catch (error) {
    pod[Symbol.dispose]()
    throw error
  }
}

/**
 * Opens the pod's network stack; undefined if there is none any more: no path was given, or it leads nowhere or to something else, as to the
 * plain file that the namespace was mounted on. All links in the namespace died with it.
 */
export function openPodIfPresent(netns: string): NetworkStack | undefined {
  if (netns === "") return undefined
  try {
    return NetworkStack.pod(netns)
  } catch (error) {
    if (failedWith(error, ...NO_NAMESPACE)) return undefined
    throw error
  }
}
