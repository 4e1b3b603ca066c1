import type { Attachment } from "../../lib/cni/attachment.ts"
import { isObject, JsonError, type JsonObject, parseJson } from "../../lib/cni/json.ts"
import { formatMac, parseMac } from "../../lib/ip/mac.ts"
import { Conflict } from "../../lib/net/conflict.ts"
import type { Link } from "../../lib/netlink/route/link.ts"
import { sameBytes } from "../../lib/sys/bytes.ts"
import { sha512Hex } from "../../lib/sys/digest.ts"
import { linkFile, listDirectory, makeDirectories, readRegular, removeFile, writeNew } from "../../lib/sys/file.ts"
import { linkStatus, sameFile } from "../../lib/sys/file-status.ts"
import { failedWith } from "../../lib/sys/system-error.ts"
import type { Settings } from "./config.ts"

/** Ours are some hundred bytes long. */
const LONGEST = 4096

/** Returns what DEL has to restore: of each setting that is wanted, the link's. One that is as wanted was set by an ADD before, if that kept another. */
export function settingsBefore(link: Link, wanted: Settings, kept: Settings): Settings {
  const { mac, mtu, promiscuous, allMulticast, transmitQueueLength } = link
  const isTuned = {
    mac: wanted.mac && sameBytes(wanted.mac, mac),
    mtu: wanted.mtu === mtu,
    promiscuous,
    allMulticast: wanted.allMulticast === allMulticast,
    transmitQueueLength: wanted.transmitQueueLength === transmitQueueLength,
  }
  const current: Required<Settings> = { mac, mtu, promiscuous, allMulticast, transmitQueueLength }
  const keys = Object.keys(wanted) as (keyof Settings)[]
  return Object.fromEntries(keys.map((key) => [key, (isTuned[key] ? kept[key] : undefined) ?? current[key]]))
}

/** Prints the file as the Go plugin does, byte for byte. */
export function printBackup({ mac, promiscuous, mtu, allMulticast, transmitQueueLength }: Settings): string {
  const keys = {
    mac: mac && mac.length > 0 ? formatMac(mac) : undefined,
    promisc: promiscuous,
    mtu,
    allmulti: allMulticast,
    txQLen: transmitQueueLength,
  }
  return JSON.stringify(keys, null, 1)
}

/** Returns what the file says, as far as it can be a link's; nothing if it is no such file. */
export function parseBackup(text: string): Settings {
  const { mac, promisc, mtu, allmulti, txQLen } = parseObject(text)
  const address = typeof mac === "string" ? parseMac(mac) : undefined
  return {
    ...(address && { mac: address }),
    ...(typeof promisc === "boolean" && { promiscuous: promisc }),
    ...(isCount(mtu) && mtu > 0 && { mtu }),
    ...(typeof allmulti === "boolean" && { allMulticast: allmulti }),
    ...(isCount(txQLen) && { transmitQueueLength: txQLen }),
  }
}

function parseObject(text: string): JsonObject {
  try {
    const value = parseJson(text)
    return isObject(value) ? value : {}
  } catch (error) {
    if (error instanceof JsonError) return {}
    throw error
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 0xffffffff
}

/**
 * The file that keeps what an attachment's interface was before: the Go plugin's. It does not say of which network it is, so ours have a second
 * name in a directory of the network, for GC.
 */
export class Backup {
  readonly #directory: string
  readonly #file: string
  readonly #second: string

  constructor(dataDir: string, attachment: Attachment) {
    const name = fileName(attachment)
    this.#directory = networkDirectory(dataDir, attachment.network)
    this.#file = `${dataDir}/${name}`
    this.#second = `${this.#directory}/${name}`
  }

  /** Returns the file's text; undefined if there is none. */
  read(): string | undefined {
    return ifNameable(() => readRegular(this.#file, LONGEST))
  }

  /** Replaces the file. Whoever is killed in between leaves one that GC finds. */
  write(text: string): void {
    this.#writeSecond(text)
    if (linkFile(this.#second, this.#file)) return
    removeFile(this.#file)
    if (linkFile(this.#second, this.#file)) return
    throw new Conflict(
      `another ADD of this attachment has just made ${this.#file}`,
      "let the runtime make one at a time",
    )
  }

  /** A node's first pod of the network makes the directory. */
  #writeSecond(text: string): void {
    try {
      writeNew(this.#second, text, { synced: false })
    } catch (error) {
      if (!failedWith(error, "ENOENT")) throw error
      makeDirectories(this.#directory, 0o700)
      writeNew(this.#second, text, { synced: false })
    }
  }

  /** Removes the file; none is fine. */
  remove(): void {
    for (const path of [this.#file, this.#second]) ifNameable(() => removeFile(path))
  }
}

function fileName({ containerId, ifname }: Attachment): string {
  return `${containerId}_${ifname}.json`
}

/** NAME_MAX */
const LONGEST_NAME = 255

/** A network whose name no directory can have gets one that no network has. */
function networkDirectory(dataDir: string, network: string): string {
  const name = network.length <= LONGEST_NAME ? network : `${network.slice(0, 64)}#${sha512Hex(network)}`
  return `${dataDir}/.cni-ts/${name}`
}

/** Returns undefined if there can be no such file. */
function ifNameable<Value>(action: () => Value): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (failedWith(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG")) return undefined
    throw error
  }
}

/** Returns the names of the network's files that belong to none of the attachments. */
export function listStale(dataDir: string, network: string, attachments: readonly Attachment[]): string[] {
  const valid = new Set(attachments.map(fileName))
  const names = ifNameable(() => listDirectory(networkDirectory(dataDir, network))) ?? []
  return names.filter((name) => !valid.has(name))
}

/** Removes one of them. The first name stays if it is another file's by now. */
export function removeStale(dataDir: string, network: string, name: string): void {
  const [file, second] = [`${dataDir}/${name}`, `${networkDirectory(dataDir, network)}/${name}`]
  const [first, ours] = [file, second].map((path) => ifNameable(() => linkStatus(path)))
  if (first && ours && sameFile(first, ours)) removeFile(file)
  removeFile(second)
}
