import { binDirectory, type Implementation } from "./executables.ts"
import type { Finished } from "./run.ts"

/** One call of a plugin. Whatever is left out has the value a runtime would most likely send. */
export interface Call {
  readonly command: string
  /** A pod, or any text to be sent as CNI_NETNS. Without it the variable is not set. */
  readonly netns?: string | PodLike | undefined
  readonly containerId?: string | undefined
  readonly ifname?: string | undefined
  readonly args?: string | undefined
  /** CNI_PATH; the implementation's own directory unless given. */
  readonly path?: string | undefined
  readonly config?: object | undefined
  /** Exact bytes instead of `config`. */
  readonly stdin?: string | Uint8Array | undefined
  /** Laid over the environment that follows from the above; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly implementation?: Implementation | undefined
  /** Puts `<node.dir>/var-lib` in the place of /var/lib: for defaults such as host-local's data directory. */
  readonly ownVarLib?: boolean | undefined
}

interface PodLike {
  readonly path: string
  readonly containerId: string
}

export interface Interface {
  readonly name: string
  readonly mac?: string
  readonly mtu?: number
  readonly sandbox?: string
}

export interface Route {
  readonly dst: string
  readonly gw?: string
}

/** A CNI result of any version. */
export interface Result {
  readonly cniVersion?: string
  readonly interfaces?: readonly Interface[]
  readonly ips?: readonly { version?: string; interface?: number; address: string; gateway?: string }[]
  readonly routes?: readonly Route[]
  readonly dns?: Readonly<Record<string, unknown>>
  readonly ip4?: { ip: string; gateway?: string; routes?: readonly Route[] }
  readonly ip6?: { ip: string; gateway?: string; routes?: readonly Route[] }
  readonly supportedVersions?: readonly string[]
}

export interface CniError {
  readonly cniVersion?: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

export interface Outcome extends Finished {
  /** The document on stdout after exit code 0, if it is one. */
  readonly result: Result | undefined
  /** The document on stdout after any other exit code, if it is one. */
  readonly error: CniError | undefined
}

const PER_CONTAINER = new Set(["ADD", "DEL", "CHECK"])

/** The environment a runtime would start the plugin with, and nothing else. */
export function environment(call: Call): Record<string, string> {
  const pod = typeof call.netns === "object" ? call.netns : { path: call.netns, containerId: undefined }
  const container = PER_CONTAINER.has(call.command) && {
    CNI_CONTAINERID: call.containerId ?? pod.containerId ?? "cnits-container",
    CNI_NETNS: pod.path,
    CNI_IFNAME: call.ifname ?? "eth0",
    CNI_ARGS: call.args,
  }
  const variables: Record<string, string | undefined> = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    CNI_COMMAND: call.command,
    CNI_PATH: call.path ?? binDirectory(call.implementation),
    ...container,
    ...call.env,
  }
  const set = Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(set)
}

export function stdin(call: Call): string | Uint8Array {
  return call.stdin ?? (call.config === undefined ? "" : JSON.stringify(call.config))
}

export function outcome(finished: Finished): Outcome {
  const document = parse(finished.stdout)
  const succeeded = finished.exitCode === 0
  return {
    ...finished,
    result: succeeded ? (document as Result | undefined) : undefined,
    error: succeeded ? undefined : (document as CniError | undefined),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
