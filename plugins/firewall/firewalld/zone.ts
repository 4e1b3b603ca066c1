import { CniError, code, invalidConfig } from "../../../lib/cni/errors.ts"
import type { Address } from "../../../lib/ip/address.ts"
import { formatPrefix, hostPrefix } from "../../../lib/ip/prefix.ts"
import { Conflict } from "../../../lib/net/conflict.ts"
import { failedWith } from "../../../lib/sys/system-error.ts"
import { TimedOut } from "../../../lib/sys/timed-out.ts"
import { Bus, NotLetIn, systemBusPath } from "./bus.ts"
import { MalformedMessage } from "./message.ts"

const FIREWALLD = {
  destination: "org.fedoraproject.FirewallD1",
  path: "/org/fedoraproject/FirewallD1",
  interface: "org.fedoraproject.FirewallD1.zone",
} as const

/** The names of the errors by which a bus says that nobody has the name. */
const NOBODY = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"]

const OTHER_WAY = 'or say "backend": "iptables" if it does not filter the pods\' packets'

/** firewalld is not running, or nobody can be asked if it is. */
export class NotRunning extends CniError {}

/** A zone of the running firewalld, and the addresses that are in it until it is loaded anew. Errors are CniError, Conflict and TimedOut. */
export class Zone implements Disposable {
  readonly name: string
  readonly #bus: Bus
  readonly #mayStart: boolean

  /** Connects to the bus. `mayStart` has the bus start firewalld if it does not run and is enabled. */
  constructor(name: string, { mayStart = false } = {}) {
    this.name = name
    this.#mayStart = mayStart
    this.#bus = explained(openBus)
  }

  /** Puts the address into the zone. Returns false if it was there. Throws Conflict if it is in another one. */
  add(address: Address): boolean {
    const { error, value } = this.#call("addSource", address)
    if (error === "ZONE_ALREADY_SET") return false
    if (error === "ZONE_CONFLICT") throw this.#conflict(address)
    this.#refuse(error, value, `put ${sourceOf(address)} into zone ${this.name}`)
    return true
  }

  /** Takes the address out of the zone; if it is not in it, that is fine. */
  remove(address: Address): void {
    const { error, value } = this.#call("removeSource", address)
    if (error === "UNKNOWN_SOURCE" || error === "ZONE_CONFLICT" || error === "INVALID_ZONE") return
    this.#refuse(error, value, `take ${sourceOf(address)} out of zone ${this.name}`)
  }

  /** Returns true if the address is in the zone. */
  has(address: Address): boolean {
    const { error, value } = this.#call("querySource", address)
    this.#refuse(error, value, `look for ${sourceOf(address)} in zone ${this.name}`)
    return value === true
  }

  #conflict(address: Address): Conflict {
    const source = sourceOf(address)
    const { value } = this.#ask("getZoneOfSource", [source])
    return new Conflict(
      `${source} is in zone ${value} of firewalld, and has to be in ${this.name}`,
      `firewall-cmd --zone=${value} --remove-source=${source} if nobody needs it there, or set "firewalldZone"`,
    )
  }

  #call(member: string, address: Address): Answer {
    return this.#ask(member, [this.name, sourceOf(address)])
  }

  #ask(member: string, texts: readonly string[]): Answer {
    const { error, value } = explained(() =>
      this.#bus.call({ ...FIREWALLD, member, arguments: texts, mayStart: this.#mayStart }),
    )
    if (error === undefined) return { error, value }
    if (NOBODY.includes(error)) throw notRunning("firewalld is not running", `start firewalld, ${OTHER_WAY}`)
    // firewalld's own: `INVALID_ZONE: podzone`, or a code alone. Others are of the bus, or of who runs firewalld's Python.
    return { error: /^[A-Z_]+(?=:|$)/.exec(String(value))?.[0] ?? error, value }
  }

  #refuse(error: string | undefined, value: Answer["value"], asked: string): void {
    if (error === undefined) return
    if (error === "INVALID_ZONE") {
      throw invalidConfig(
        "firewalldZone",
        `firewalld has no zone ${JSON.stringify(this.name)}`,
        "firewall-cmd --get-zones lists those it has; a new one needs firewall-cmd --reload",
      )
    }
    const [first = ""] = String(value ?? error).split("\n")
    throw new CniError(
      code.delegate,
      `firewalld does not ${asked}: ${first}`,
      `ask journalctl -u firewalld, ${OTHER_WAY}`,
    )
  }

  [Symbol.dispose](): void {
    this.#bus[Symbol.dispose]()
  }
}

/** An answer of firewalld; `error` is its code, or else the name that D-Bus has for it. */
interface Answer {
  readonly error: string | undefined
  readonly value: string | boolean | undefined
}

/** Writes the address as the Go plugin does, by which either finds what the other has put there. */
export function sourceOf(address: Address): string {
  return formatPrefix(hostPrefix(address))
}

function openBus(): Bus {
  const path = systemBusPath()
  if (path === undefined) {
    const advice = "DBUS_SYSTEM_BUS_ADDRESS has to be that of a Unix socket with a path, or unset"
    throw notRunning("cannot ask firewalld: there is no system bus", advice)
  }
  return new Bus(path)
}

function notRunning(message: string, details: string, options?: ErrorOptions): NotRunning {
  return new NotRunning(code.tryAgainLater, message, details, options)
}

/** The errors of a socket that nobody listens at. */
const UNREACHABLE = ["ENOENT", "ENOTDIR", "ECONNREFUSED", "EACCES", "EPERM"] as const

/** Does what needs the bus, and says in what it throws what that was for. */
function explained<Value>(step: () => Value): Value {
  try {
    return step()
  } catch (error) {
    const options = { cause: error }
    const message = `cannot ask firewalld: ${error instanceof Error ? error.message : error}`
    if (error instanceof TimedOut)
      throw new TimedOut(message, "firewalld or the system bus hangs: systemctl restart firewalld")
    if (failedWith(error, ...UNREACHABLE)) throw notRunning(message, `start firewalld, ${OTHER_WAY}`, options)
    if (error instanceof NotLetIn) throw notRunning(message, `see the log of dbus, ${OTHER_WAY}`, options)
    if (error instanceof MalformedMessage || failedWith(error, "EPIPE"))
      throw new CniError(code.tryAgainLater, message, "the system bus was restarted: try again later", options)
    throw error
  }
}
