import { readHostLocal } from "../../../ipam/host-local/config.ts"
import {
  emptyBucket,
  isWhole,
  readLine,
  readRecordedLeases,
  withLine,
} from "../../../ipam/host-local/leases/index-bucket.ts"
import { holderOf, readHolder } from "../../../ipam/host-local/leases/lease-holder.ts"
import { parseLeaseRecord } from "../../../ipam/host-local/leases/lease-record.ts"
import { parseResolvConf } from "../../../ipam/host-local/resolv-conf.ts"
import { readStatic } from "../../../ipam/static/config.ts"
import { parseArgs } from "../../../lib/cni/args.ts"
import { matchConfig, readConfig, readPrevResult } from "../../../lib/cni/config.ts"
import { printFailure } from "../../../lib/cni/error-document.ts"
import { CniError } from "../../../lib/cni/errors.ts"
import type { NetworkConfig } from "../../../lib/cni/plugin.ts"
import { emptyResult } from "../../../lib/cni/result.ts"
import { printResult } from "../../../lib/cni/result-print.ts"
import { readValidAttachments } from "../../../lib/cni/valid-attachments.ts"
import { versions } from "../../../lib/cni/version.ts"
import { formatAddress, parseAddress } from "../../../lib/ip/address.ts"
import { readBridgeConfig } from "../../../plugins/bridge/config.ts"
import { readDummyConfig } from "../../../plugins/dummy/config.ts"
import { readFirewallConfig } from "../../../plugins/firewall/config.ts"
import { lengthOfMessage, MalformedMessage, readReply } from "../../../plugins/firewall/firewalld/message.ts"
import { readHostDeviceConfig } from "../../../plugins/host-device/config.ts"
import { readIpvlanConfig } from "../../../plugins/ipvlan/config.ts"
import { readMacvlanConfig } from "../../../plugins/macvlan/config.ts"
import { readPortmapConfig } from "../../../plugins/portmap/config.ts"
import { readPtpConfig } from "../../../plugins/ptp/config.ts"
import { listOwnIps, readSbrConfig, readTable } from "../../../plugins/sbr/config.ts"
import { readTapConfig } from "../../../plugins/tap/config.ts"
import { parseBackup } from "../../../plugins/tuning/backup.ts"
import { readDataDir, readTuningConfig } from "../../../plugins/tuning/config.ts"
import { readVlanConfig } from "../../../plugins/vlan/config.ts"
import { readVrfConfig } from "../../../plugins/vrf/config.ts"
import { damagedBytes, damagedJson, damagedText } from "./damage.ts"
import { kernelTargets } from "./kernel-targets.ts"
import { packetTargets } from "./packet-targets.ts"
import { argumentLists, configs } from "./samples.ts"
import type { Target } from "./target.ts"

const IP = ["10.1.2.3"]

/** Every reader of a configuration, those of all plugins: each ends in a value, or in one error document. */
const readers: readonly ((config: NetworkConfig) => unknown)[] = [
  readBridgeConfig,
  readPtpConfig,
  readMacvlanConfig,
  readHostDeviceConfig,
  readIpvlanConfig,
  readVlanConfig,
  readTapConfig,
  readDummyConfig,
  readVrfConfig,
  readPortmapConfig,
  readFirewallConfig,
  readSbrConfig,
  readTable,
  (config) => listOwnIps(readPrevResult(config) ?? emptyResult, "eth0"),
  (config) => readTuningConfig(config, ""),
  readDataDir,
  (config) => readHostLocal(config, ""),
  (config) => readStatic(config, ""),
  (config) => readValidAttachments(config.fields, config.name),
  printPrevious,
]

/** Prints what was read in every version, or refuses it. */
function printPrevious(config: NetworkConfig): void {
  const previous = readPrevResult(config)
  if (!previous) return
  for (const version of versions) refusable(() => JSON.parse(printResult(previous, version)))
}

function readEverything(text: string): void {
  refusable(() => {
    const config = matchConfig(readConfig(new TextEncoder().encode(text)), versions)
    for (const read of readers) refusable(() => read(config))
  })
}

/** A refusal is a CniError, whose document can be parsed and says something. */
function refusable(attempt: () => unknown): void {
  try {
    attempt()
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    const document = JSON.parse(printFailure(error, "1.1.0"))
    if (!(document.code > 0 && document.msg)) throw new Error(`an error that says nothing: ${printFailure(error, "")}`)
  }
}

function readArguments(text: string): void {
  refusable(() => parseArgs(text, ["IP", "GATEWAY", "MAC"]))
  const [config] = configs.slice(5)
  const network = matchConfig(readConfig(new TextEncoder().encode(JSON.stringify(config))), versions)
  refusable(() => readHostLocal(network, text))
  refusable(() => readStatic(network, text))
  refusable(() => readTuningConfig(network, text))
}

function readLeaseFile(text: string): void {
  readHolder(text)
  parseBackup(text)
  const address = parseAddress(text)
  if (address && !parseAddress(formatAddress(address))) throw new Error(`${text} is an address that has no text`)
  parseResolvConf(text)
  parseLeaseRecord(text)
}

/** Expects a note in an index, whatever else that says, to be found there, unless it counts as damaged. */
function readIndex(text: string): void {
  readRecordedLeases(text, () => true)
  const holder = holderOf({ containerId: "container", ifname: "eth0" })
  if (!isWhole(text)) return
  const found = readLine(withLine(text, holder, IP), holder)
  if (found?.join() !== "10.1.2.3") throw new Error(`noted 10.1.2.3, found ${found}`)
}

const record = { boot: "b", mounts: "4:1", namespace: "4:2", lease: "x", path: "/run/netns/pod" }
const index = withLine(
  withLine(emptyBucket, holderOf({ containerId: "a", ifname: "eth1" }), IP),
  holderOf({ containerId: "b", ifname: "eth0" }),
  IP,
  record,
)

/** What firewalld says to addSource: the zone, or why not. */
const busMessages = [
  "6c0201010c000000090000002d000000050175000700000006017300050000003a312e3132000000080167000173000007017300040000" +
    "003a312e3000000000070000007472757374656400",
  "6c03010114000000090000003f00000004017300260000006f72672e6665646f726170726f6a6563742e4669726577616c6c44312e4578" +
    "63657074696f6e0000050175000700000008016700017300000f000000494e56414c49445f5a4f4e453a207800",
].map((hex) => Uint8Array.from(Buffer.from(hex, "hex")))

function readBusMessage(hex: string): void {
  const bytes = Uint8Array.from(Buffer.from(hex, "hex"))
  try {
    const length = lengthOfMessage(bytes)
    if (length !== undefined && bytes.length >= length) readReply(bytes.subarray(0, length))
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error
  }
}

export const targets: readonly Target[] = [
  { name: "configurations and previous results", inputs: damagedJson(configs), check: readEverything },
  {
    name: "configurations that are no JSON",
    inputs: damagedText(configs.map((config) => JSON.stringify(config))),
    check: readEverything,
  },
  { name: "CNI_ARGS", inputs: damagedText(argumentLists), check: readArguments },
  {
    name: "lease files",
    inputs: damagedText([
      "container\r\neth0",
      "container",
      "10.1.2.3",
      "fd00::3",
      "nameserver 10.0.0.1\nsearch a b\n",
      '{"mac":"02:00:00:00:00:7a","mtu":1500}',
    ]),
    check: readLeaseFile,
  },
  { name: "the index of leases", inputs: damagedText([index]), check: readIndex },
  { name: "messages of D-Bus", inputs: damagedBytes(busMessages), check: readBusMessage },
  ...kernelTargets,
  ...packetTargets,
]
