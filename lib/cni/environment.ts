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

interface Variable {
  readonly name: string
  readonly requiredBy: readonly string[]
  readonly validate?: (value: string, command: string) => void
}

/** In the order in which missing ones are reported. */
const variables: readonly Variable[] = [
  { name: "CNI_COMMAND", requiredBy: commands },
  { name: "CNI_CONTAINERID", requiredBy: ["ADD", "DEL", "CHECK"], validate: validateContainerId },
  { name: "CNI_NETNS", requiredBy: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", requiredBy: ["ADD", "DEL", "CHECK"], validate: validateIfname },
  { name: "CNI_PATH", requiredBy: ["ADD", "DEL", "CHECK", "GC", "STATUS"] },
]

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
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment {
  const command = env["CNI_COMMAND"] ?? ""
  const missing: string[] = []
  for (const { name, requiredBy, validate } of variables) {
    const required = requiredBy.includes(command) || name === "CNI_COMMAND"
    const value = env[name] ?? ""
    if (!required) continue
    if (value === "") missing.push(name)
    else validate?.(value, command)
  }
  if (missing.length > 0) {
    throw new CniError(
      code.badEnvironment,
      `required env variables [${missing.join(",")}] missing`,
      "the runtime sets these for every call; by hand, cnitool does",
    )
  }
  return {
    command,
    containerId: env["CNI_CONTAINERID"] ?? "",
    netns: env["CNI_NETNS"] ?? "",
    ifname: env["CNI_IFNAME"] ?? "",
    args: env["CNI_ARGS"] ?? "",
    path: (env["CNI_PATH"] ?? "").split(":").filter((directory) => directory !== ""),
    netnsOverride: ["true", "1"].includes((env["CNI_NETNS_OVERRIDE"] ?? "").toLowerCase()),
  }
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

/**
 * Says why no interface can have that name; undefined if one can: the kernel's dev_valid_name(), stricter about white space
 * and about `%` and NUL, for the kernel makes an eth0 when asked for an `eth%d`, and ends a name at its NUL.
 */
export function ifnameProblem(name: string): string | undefined {
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
