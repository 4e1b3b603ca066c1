import { binDirectory, CNITOOL, type Implementation } from "./executables.ts"

/** A network configuration list, as in /etc/cni/net.d. */
export interface NetworkList {
  readonly cniVersion?: string
  readonly name: string
  readonly plugins: readonly NetworkPlugin[]
  readonly [key: string]: unknown
}

export interface NetworkPlugin {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

export interface CnitoolCall {
  readonly command: "add" | "check" | "del" | "gc" | "status"
  readonly network: NetworkList
  readonly netns: { readonly path: string }
  readonly args?: string
  /** By capability name: `{ portMappings: [...] }`. */
  readonly capabilityArgs?: Readonly<Record<string, unknown>>
  readonly ifname?: string
  readonly implementation?: Implementation
  /** CNI_PATH; the implementation's own directory unless given. */
  readonly path?: string
}

export function cnitoolEnvironment(call: CnitoolCall, networks: string): Record<string, string> {
  return {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    NETCONFPATH: networks,
    CNI_PATH: call.path ?? binDirectory(call.implementation),
    ...(call.args !== undefined && { CNI_ARGS: call.args }),
    ...(call.capabilityArgs && { CAP_ARGS: JSON.stringify(call.capabilityArgs) }),
    ...(call.ifname !== undefined && { CNI_IFNAME: call.ifname }),
  }
}

export function cnitoolProgram(call: CnitoolCall): string[] {
  return [CNITOOL, call.command, call.network.name, call.netns.path]
}
