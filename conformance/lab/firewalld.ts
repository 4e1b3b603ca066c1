import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Namespace } from "./namespace.ts"
import { type Finished, output, run } from "./run.ts"

const FILES = fileURLToPath(new URL("../../.cache/firewalld", import.meta.url))
const LIBRARIES = `${FILES}/usr/lib/python3/dist-packages`

const NAME = "org.fedoraproject.FirewallD1"
const PATH = "/org/fedoraproject/FirewallD1"

/** Lets everybody own and say everything: no user of the machine is on it but root. */
function busConfiguration(socket: string): string {
  return `<busconfig>
  <type>system</type>
  <listen>unix:path=${socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/> <allow receive_sender="*"/> <allow own="*"/> <allow user="*"/>
  </policy>
</busconfig>`
}

/**
 * Debian's firewalld in a network namespace, on a system bus of its own: what to give calls as environment leads to that. Both end when it
 * is disposed of, which has to be before the namespace is.
 */
export class Firewalld implements Disposable {
  readonly env: Readonly<Record<string, string>>
  readonly #directory: string
  readonly #bus: ChildProcess
  readonly #daemon: ChildProcess

  /** Starts both, with their files in `directory`. Returns when firewalld has its rules. */
  constructor(namespace: Namespace, directory: string) {
    this.#directory = directory
    const socket = join(directory, "bus")
    this.env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${socket}` }
    mkdirSync(join(directory, "zones"), { recursive: true })
    writeFileSync(join(directory, "bus.conf"), busConfiguration(socket))
    // Its filter of IPv6 sources drops what pods send on kernels whose `fib` does not find their route by the bridge.
    writeFileSync(join(directory, "firewalld.conf"), "LogDenied=off\nIPv6_rpfilter=no\n")
    const configuration = join(directory, "bus.conf")
    this.#bus = this.#spawn(namespace, ["dbus-daemon", `--config-file=${configuration}`, "--nofork", "--nopidfile"])
    this.#daemon = this.#start(namespace)
  }

  #start(namespace: Namespace): ChildProcess {
    until("the bus", () => this.#ask("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId"))
    const places = ["--system-config", this.#directory, "--default-config", `${FILES}/usr/lib/firewalld`]
    const log = ["--log-file", join(this.#directory, "log")]
    const daemon = ["/usr/bin/python3", "-s", `${FILES}/usr/sbin/firewalld`, "--nofork", "--nopid", ...places, ...log]
    const child = this.#spawn(namespace, daemon)
    until("firewalld", () => this.call("zone.getActiveZones"))
    return child
  }

  #spawn(namespace: Namespace, argv: readonly string[]): ChildProcess {
    const [program = "", ...rest] = namespace.inside(["setpriv", "--pdeathsig", "KILL", ...argv])
    const env = { ...process.env, ...this.env, PYTHONPATH: LIBRARIES, PYTHONDONTWRITEBYTECODE: "1" }
    return spawn(program, rest, { stdio: "ignore", env })
  }

  /** Calls a method of firewalld with texts, as an operator would: `call("zone.addSource", "public", "10.1.0.0/16")`. */
  call(method: string, ...texts: string[]): Finished {
    return this.#ask(NAME, PATH, `${NAME}.${method}`, ...texts)
  }

  #ask(destination: string, path: string, method: string, ...texts: string[]): Finished {
    const bus = `--bus=${this.env["DBUS_SYSTEM_BUS_ADDRESS"]}`
    const values = texts.map((text) => `string:${text}`)
    return run([
      "dbus-send",
      bus,
      "--print-reply",
      "--reply-timeout=20000",
      `--dest=${destination}`,
      path,
      method,
      ...values,
    ])
  }

  /** Lists the addresses and networks that are in the zone. */
  sources(zone = "trusted"): string[] {
    const { stdout, stderr, exitCode } = this.call("zone.getSources", zone)
    if (exitCode !== 0) throw new Error(stderr)
    return Array.from(stdout.matchAll(/string "(.*)"/g), ([, source = ""]) => source).sort()
  }

  /** Has firewalld load its configuration anew: it forgets all addresses. */
  reload(): void {
    const { exitCode, stderr } = this.#ask(NAME, PATH, `${NAME}.reload`)
    if (exitCode !== 0) throw new Error(stderr)
  }

  /** Does `step` while firewalld does not answer. */
  whileHanging(step: () => void): void {
    this.#daemon.kill("SIGSTOP")
    try {
      step()
    } finally {
      this.#daemon.kill("SIGCONT")
    }
  }

  [Symbol.dispose](): void {
    for (const child of [this.#daemon, this.#bus]) end(child)
    rmSync(this.#directory, { recursive: true })
  }
}

function until(what: string, test: () => Finished): void {
  for (let tries = 0; ; tries++) {
    const { exitCode, stderr } = test()
    if (exitCode === 0) return
    if (tries === 300) throw new Error(`${what} does not start: ${stderr}`)
    run(["sleep", "0.05"])
  }
}

/** Ends a process and waits for it, whose exit code nobody has asked for as long as this thread waits. */
function end(child: ChildProcess): void {
  child.kill("SIGKILL")
  const isRunning = () => /^State:\s+[^Z]/m.test(run(["cat", `/proc/${child.pid}/status`]).stdout)
  while (isRunning()) output(["sleep", "0.02"])
}
