import { NetworkStack } from "../net/stack.ts"
import { failedWith, SystemError } from "../sys/system-error.ts"
import { CniError, code } from "./errors.ts"

/** The pod's network stack. Throws code 8 where CNI_NETNS leads to no network namespace. */
export function openPod(netns: string): NetworkStack {
  try {
    return NetworkStack.pod(netns)
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
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
 * The pod's network stack, or undefined where there is none any more: no path was given, nothing is there, or only the plain file
 * that the namespace was mounted on. What lived in it died with it.
 */
export function openPodIfPresent(netns: string): NetworkStack | undefined {
  if (netns === "") return undefined
  try {
    return NetworkStack.pod(netns)
  } catch (error) {
    if (failedWith(error, "ENOENT", "ENOTDIR", "EINVAL")) return undefined
    throw error
  }
}
