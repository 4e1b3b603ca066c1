import { host } from "../sys/host.ts"
import { CniError, code } from "./errors.ts"

export const commands = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const
export type Command = (typeof commands)[number]

/** The CNI_* variables of one call; what was not given is the empty string. */
export interface Environment {
  /** As given: an unknown command is refused only after the configuration was checked. */
  readonly command: string
  readonly containerId: string
  readonly netns: string
  readonly ifname: string
  readonly args: string
  /** The directories of CNI_PATH. */
  readonly path: readonly string[]
  /** CNI_NETNS_OVERRIDE: the plugin may work on its own network namespace. */
  readonly netnsOverride: boolean
}

/**
 * Says if a text may be a container id or a network name. Such a text is safe in a path, a rule and a log. Two expressions:
 * one for both ends would backtrack over megabytes.
 */
export function isIdentifier(text: string): boolean {
  return /^[a-zA-Z0-9]/.test(text) && !/[^a-zA-Z0-9_.-]/.test(text)
}

export const IDENTIFIER_RULE = "it has to begin with a letter or digit and may have these, _ . and - behind it"

/** Returns a text of others' as it may stand in a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text)
}

/**
 * Reads the call's variables. Throws code 4 at the first invalid one, or naming all that are missing for the command.
 * Variables a command does not require are taken as they come.
 */
export function readEnvironment(variable: (name: string) => string | undefined): Environment {
  const given = (name: string) => variable(name) ?? ""
  const command = given("CNI_COMMAND")
  const containerId = given("CNI_CONTAINERID")
  const netns = given("CNI_NETNS")
  const ifname = given("CNI_IFNAME")
  const path = given("CNI_PATH")
  const ofAttachment = command === "ADD" || command === "CHECK" || command === "DEL"
  if (ofAttachment && containerId !== "") validateContainerId(containerId)
  if (ofAttachment && ifname !== "") validateIfname(ifname, command)
  const missing: string[] = []
  if (command === "") missing.push("CNI_COMMAND")
  if (ofAttachment && containerId === "") missing.push("CNI_CONTAINERID")
  if (ofAttachment && netns === "" && command !== "DEL") missing.push("CNI_NETNS")
  if (ofAttachment && ifname === "") missing.push("CNI_IFNAME")
  if ((ofAttachment || command === "GC" || command === "STATUS") && path === "") missing.push("CNI_PATH")
  if (missing.length > 0) throw required(missing)
  const override = given("CNI_NETNS_OVERRIDE").toLowerCase()
  return {
    command,
    containerId,
    netns,
    ifname,
    args: given("CNI_ARGS"),
    path: path.split(":").filter((directory) => directory !== ""),
    netnsOverride: override === "true" || override === "1",
  }
}

function required(missing: readonly string[]): CniError {
  return new CniError(
    code.badEnvironment,
    `required env variables [${missing.join(",")}] missing`,
    "the runtime sets these for every call; by hand, cnitool does",
  )
}

function validateContainerId(id: string): void {
  if (!isIdentifier(id))
    throw new CniError(
      code.badEnvironment,
      "invalid characters in CNI_CONTAINERID",
      `${quoted(id)}: ${IDENTIFIER_RULE}`,
    )
}

/** Throws code 4 if no interface can have the name. For a reserved one DEL has nothing to do, as ADD was refused, and lets the pod go. */
function validateIfname(name: string, command: string): void {
  const problem = ifnameProblem(name)
  if (!problem || (command === "DEL" && RESERVED.includes(name))) return
  const details = `${quoted(name)}: the runtime has to ask for another name, such as eth0`
  throw new CniError(code.badEnvironment, `invalid CNI_IFNAME: ${problem}`, details)
}

/** The entries of /proc/sys/net/ipv4/conf that are no interfaces: the kernel refuses them as names without a word. */
const RESERVED = ["all", "default"]

/** Most names there are, which need not be looked at for each problem. */
const PLAIN_IFNAME = /^[\w-][\w.-]{0,14}$/

/**
 * Says why no interface can have that name; undefined if one can: the kernel's dev_valid_name(), stricter about white space
 * and about `%` and NUL, for the kernel makes an eth0 when asked for an `eth%d`, and ends a name at its NUL.
 */
export function ifnameProblem(name: string): string | undefined {
  if (PLAIN_IFNAME.test(name) && !RESERVED.includes(name)) return undefined
  if (name === "") return "interface name is empty"
  if (host.encode(name).length > 15) return "interface name is too long: at most 15 bytes"
  if (name === "." || name === "..") return "interface name is . or .."
  if (name.includes("/") || name.includes(":") || /[\s\u0085]/.test(name)) {
    return "interface name contains / or : or whitespace"
  }
  if (RESERVED.includes(name)) return `no interface can be called ${name}: the kernel's settings for all are`
  if (name.includes("%")) return "interface name contains %"
  if (name.includes("\0")) return "interface name contains a NUL byte"
  return undefined
}
