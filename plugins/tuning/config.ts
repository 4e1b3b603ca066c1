import { readMac, readMtu } from "../../lib/attachment/interface-keys.ts"
import { parseArgs } from "../../lib/cni/args.ts"
import { invalidConfig } from "../../lib/cni/errors.ts"
import { type Fields, readString } from "../../lib/cni/fields.ts"
import { oddNumber } from "../../lib/cni/json.ts"
import type { NetworkConfig } from "../../lib/cni/plugin.ts"
import type { Mac } from "../../lib/ip/mac.ts"
import type { LinkChange } from "../../lib/netlink/route/link.ts"
import { host } from "../../lib/sys/host.ts"
import { findTwice, isSysctlKey, mayHaveTwice, type Sysctl } from "./sysctl.ts"

/** The settings that the network's administrator asks for, and the runtime for one pod. */
export interface TuningConfig {
  /** In the order of the configuration, those that the runtime adds last. */
  readonly sysctls: readonly Sysctl[]
  readonly settings: Settings
  readonly dataDir: string
}

/** Settings of the pod's interface; absent leaves it as it is. */
export type Settings = Pick<LinkChange, "mac" | "mtu" | "promiscuous" | "allMulticast" | "transmitQueueLength">

const DEFAULT_DATA_DIR = "/run/cni/tuning"

/** Reads and checks the configuration for the commands that need all of it. */
export function readTuningConfig(config: NetworkConfig, args: string): TuningConfig {
  const { fields } = config
  const asked = fields.fields("args")?.fields("cni")
  return {
    sysctls: readSysctls(config, asked),
    settings: readSettings(fields, asked, args),
    dataDir: fields.string("dataDir") || DEFAULT_DATA_DIR,
  }
}

/** As readTuningConfig, for DEL, which must not fail for a configuration that ADD would have refused. */
export function readDataDir({ fields }: NetworkConfig): string {
  const value = fields.get("dataDir")
  const isPath = typeof value === "string" && value !== "" && oddNumber(value) === undefined
  return isPath ? value : DEFAULT_DATA_DIR
}

function readSysctls({ fields, bytes }: NetworkConfig, asked: Fields | undefined): Sysctl[] {
  const values = new Map<string, Sysctl>()
  for (const where of [fields, asked]) {
    for (const [key, value] of where?.record("sysctl", readString) ?? []) {
      const field = `${where?.pathOf("sysctl")}.${key}`
      if (!isSysctlKey(key)) {
        const advice =
          'it has to be net.A.B or net/A/B, not both mixed; IFNAME stands for the interface, also if that is "eth0.5"'
        throw invalidConfig(field, `invalid net sysctl key: ${JSON.stringify(key)}`, advice)
      }
      values.set(key, { key, field, value })
    }
  }
  const text = values.size > 0 ? host.decode(bytes) : ""
  const twice = mayHaveTwice(text, [...values.keys()]) ? findTwice(text) : undefined
  if (twice !== undefined) throw invalidConfig(`sysctl.${twice}`, "duplicated sysctl keys are not allowed")
  return [...values.values()]
}

/** Reads the settings: each of the runtime's in `args` goes before the configuration's. */
function readSettings(fields: Fields, asked: Fields | undefined, args: string): Settings {
  const of = (key: string) => (asked?.has(key) ? asked : fields)
  const mac = readRequestedMac(fields, asked, args)
  const mtu = readMtu(of("mtu"))
  const promiscuous = of("promisc").boolean("promisc")
  const allMulticast = of("allmulti").boolean("allmulti")
  const transmitQueueLength = of("txQLen").integer("txQLen", { min: 0, max: 0x7fffffff })
  return {
    ...(mac && { mac }),
    ...(mtu !== 0 && { mtu }),
    ...(promiscuous && { promiscuous }), // false asks for nothing
    ...(allMulticast !== undefined && { allMulticast }),
    ...(transmitQueueLength !== undefined && { transmitQueueLength }),
  }
}

function readRequestedMac(fields: Fields, asked: Fields | undefined, args: string): Mac | undefined {
  const candidates: [string, string | undefined][] = [
    ["runtimeConfig.mac", fields.fields("runtimeConfig")?.string("mac")],
    ["CNI_ARGS MAC", parseArgs(args, ["MAC"]).MAC],
    ["mac", fields.string("mac")],
  ]
  const ofArgs = asked?.string("mac") // an empty one asks for none, whatever the others do
  if (ofArgs !== undefined) return readMac("args.cni.mac", ofArgs)
  const [source = "", text] = candidates.find(([, value]) => value) ?? []
  return readMac(source, text)
}
