import { CniError, code, invalidConfig } from "../../lib/cni/errors.ts"
import type { NetworkStack, Sysctls } from "../../lib/net/stack.ts"
import type { Undo } from "../../lib/net/undo.ts"
import { readText, unlessMissing } from "../../lib/sys/file.ts"
import { failedWith, SystemError } from "../../lib/sys/system-error.ts"

/** One setting of the pod's kernel. */
export interface Sysctl {
  /** As the configuration writes it. */
  readonly key: string
  /** The key's path in the configuration, for errors. */
  readonly field: string
  readonly value: string
}

/**
 * Returns if the key names a setting below net/. Its parts are separated by dots or by slashes: sysctl(8) reads a key with both in another way
 * than the Go plugin, and no path may lead anywhere else.
 */
export function isSysctlKey(key: string): boolean {
  const parts = key.split(key.includes("/") ? "/" : ".")
  const isName = (part: string) => part !== "" && !part.includes(".") && !part.includes("\0")
  return parts.length > 1 && parts[0] === "net" && parts.every(isName)
}

/** Returns where the setting is below /proc/sys. The first IFNAME is the interface, whose name may have dots. */
export function sysctlPath(key: string, ifname: string): string {
  return key.replaceAll(".", "/").replace("IFNAME", () => ifname)
}

const TOKEN = /[{}]|("[^"\\]*(?:\\.[^"\\]*)*")\s*(:?)/g

/** Says if the text may have one of the keys twice, in whatever objects: most have not, which is sooner known than what findTwice() says. */
export function mayHaveTwice(text: string, keys: readonly string[]): boolean {
  return text.includes("\\") || keys.some((key) => text.indexOf(`"${key}"`) !== text.lastIndexOf(`"${key}"`))
}

/** Returns a key that the configuration's own `sysctl` has twice: whoever parses the text sees the last one only. */
export function findTwice(text: string): string | undefined {
  const open: string[] = []
  const keys = new Set<string>()
  let last = ""
  for (const [token, string, colon] of text.matchAll(TOKEN)) {
    if (token === "{") open.push(last.toLowerCase())
    else if (token === "}") open.pop()
    if (!string || !colon) continue
    last = JSON.parse(string)
    if (open.length !== 2 || open[1] !== "sysctl") continue
    if (keys.has(last)) return last
    keys.add(last)
  }
  return undefined
}

const ALLOW_LIST = "/etc/cni/tuning/allowlist.conf"

/** Throws code 7 if the node has a list of settings that may be changed, and one of these is not on it. */
export function refuseUnlisted(sysctls: readonly Sysctl[]): void {
  const text = sysctls.length > 0 ? unlessMissing(() => readText(ALLOW_LIST)) : undefined
  if (text === undefined) return
  const patterns = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
  for (const { key, field } of sysctls) {
    if (patterns.some((pattern) => compile(pattern).test(key))) continue
    const problem = `Sysctl ${key} is not allowed. Only the following sysctls are allowed: [${patterns.join(" ")}]`
    throw invalidConfig(field, problem, `the node's administrator allows others by a line in ${ALLOW_LIST}`)
  }
}

/** Of what Go's expressions have and JavaScript's have not, the strict mode lets nothing pass for something else. */
function compile(pattern: string): RegExp {
  try {
    return new RegExp(pattern, "u")
  } catch (error) {
    const advice = "say it in what regular expressions of Go and JavaScript have in common"
    throw new CniError(code.file, `${ALLOW_LIST}: ${JSON.stringify(pattern)} cannot be read`, advice, { cause: error })
  }
}

/** The settings' values, by path, from before this process, which serves one call, changed them. */
const before = new Map<string, string>()

/** Changes the settings in the pod, in their order. */
export function setSysctls(pod: NetworkStack, sysctls: readonly Sysctl[], ifname: string, undo: Undo): void {
  undo.add(() => resetSysctls(pod))
  pod.withSysctls((own) => {
    for (const sysctl of sysctls) {
      const path = sysctlPath(sysctl.key, ifname)
      const value = readIfPossible(own, path)
      if (value !== undefined && !before.has(path)) before.set(path, value)
      setSysctl(own, path, sysctl)
    }
  })
}

/** Takes back what setSysctls() did. */
export function resetSysctls(pod: NetworkStack): void {
  pod.withSysctls((own) => {
    for (const [path, value] of before) own.trySysctl(path, value)
  })
}

function setSysctl(own: Sysctls, path: string, { field, value }: Sysctl): void {
  try {
    own.writeSysctl(path, value)
  } catch (error) {
    const problem = problemOf(error, value)
    throw problem ? invalidConfig(field, `${problem}: /proc/sys/${path}`) : error
  }
}

function problemOf(error: unknown, value: string): string | undefined {
  if (failedWith(error, "EINVAL", "ERANGE")) return `the kernel refuses the value ${JSON.stringify(value)}`
  if (failedWith(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "EISDIR")) return "the pod has no such setting"
  return undefined
}

/** Returns the setting's value; undefined if it cannot be read: some can only be written. */
export function readIfPossible(own: Sysctls, path: string): string | undefined {
  try {
    return own.readSysctl(path)
  } catch (error) {
    if (error instanceof SystemError) return undefined
    throw error
  }
}
