import { execFile, execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { type Architecture, ownArchitecture } from "../../../build/toolchain.ts"
import { serveFiles } from "./virtiofsd.ts"

export interface GuestRun {
  /** This machine's unless given. */
  readonly architecture?: Architecture
  /** For /bin/sh, as root, with `lo` up and an empty /run. `set -e` is the script's own choice. */
  readonly script: string
  /** Guest path to host path. Hard links of one file arrive as hard links, so a second name costs nothing. */
  readonly files?: Readonly<Record<string, string>>
  /**
   * If true, the script sees this machine's files and runs its programs, which then have to be of the guest's architecture.
   * It may write anywhere: that goes with the VM. `files` are not there.
   */
  readonly machine?: boolean
  /** Network cards (virtio) on one wire, none unless given: `eth0` is at the PCI address 0000:00:10.0, `eth1` at 0000:00:11.0 ... */
  readonly cards?: number
  /** If true, time passes in the guest by its instructions, each a nanosecond, whatever else this machine does, unless it is idle: for measurements. */
  readonly countedTime?: boolean
  /** For boot and script together; 100 unless given. */
  readonly timeoutSeconds?: number
}

export interface GuestResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

const cache = fileURLToPath(new URL("../../../.cache/vm", import.meta.url))

/** The machine that qemu plays, all in software. The first of its serial ports is the kernel's. */
interface Machine {
  readonly qemu: readonly string[]
  /** Arguments of the kernel. */
  readonly kernel: string
  /** Arguments that add a serial port behind one of qemu's character devices. */
  port(chardev: string): readonly string[]
  /** As the guest names those ports. */
  readonly ports: readonly string[]
}

const machines: Readonly<Record<Architecture, Machine>> = {
  amd64: {
    qemu: ["qemu-system-x86_64", "-cpu", "max"],
    // The clock that it would choose is a device: a whole exit of the emulation at every look. On a busy machine the timer may come too
    // late for the kernel's check of it, which ends in a panic.
    kernel: "console=ttyS0 clocksource=tsc tsc=reliable no_timer_check",
    port: (chardev) => ["-serial", `chardev:${chardev}`],
    ports: ["ttyS1", "ttyS2", "ttyS3"],
  },
  // Of newer processors, qemu spends most of the time on signing pointers. The board itself has one port.
  arm64: {
    qemu: ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"],
    kernel: "console=ttyAMA0",
    port: (chardev) => ["-device", `pci-serial,chardev=${chardev}`],
    ports: ["ttyS0", "ttyS1", "ttyS2"],
  },
}

/**
 * Boots Debian's cloud kernel in a VM of its own, runs `script` there and returns what it wrote, byte for byte as UTF-8.
 * Rejects if the VM did not get to the end of the script in time; no process and no file is left behind.
 * Booting takes seconds, so a test file boots once and lets the script print one section per question:
 *
 * ```ts
 * let guest: GuestResult
 * beforeAll(async () => {
 *   guest = await runInGuest({
 *     files: { "/opt/cni/bin/bridge": "dist/bin/bridge", "/opt/cni/bin/host-local": "dist/bin/host-local" },
 *     script: `
 *       export CNI_PATH=/opt/cni/bin CNI_CONTAINERID=one CNI_IFNAME=eth0 CNI_NETNS=/run/netns/one
 *       ip netns add one
 *       echo == add
 *       CNI_COMMAND=ADD bridge <<END
 *       { "cniVersion": "1.0.0", "name": "n", "type": "bridge", "bridge": "cni0", "vlan": 100, "ipam": {} }
 *       END
 *       echo == vlans
 *       bridge -j vlan
 *     `,
 *   })
 * })
 * test("the port carries VLAN 100", () => expect(JSON.parse(section(guest, "vlans"))).toContainEqual(...))
 * ```
 */
export async function runInGuest(run: GuestRun): Promise<GuestResult> {
  const { architecture = ownArchitecture(), script, files = {}, machine = false, timeoutSeconds = 100 } = run
  const image = join(cache, architecture)
  if (!existsSync(image)) throw new Error(`no VM image: run conformance/systems/vm/prepare ${architecture} as root`)
  const directory = mkdtempSync(join(cache, "run-"))
  try {
    writeInitrd(join(image, "root.cpio"), directory, script, files)
    using server = machine ? await serveFiles(join(directory, "files")) : undefined
    const command = qemu(machines[architecture], join(image, "vmlinuz"), directory, server?.socket)
    const timedOut = await ended([...command, ...wire(run.cards ?? 0), ...clock(run)], timeoutSeconds)
    const [console, stdout, stderr, exitCode] = ports(directory)
    const transcript = `console:\n${console}\nstdout:\n${stdout.slice(-4000)}\nstderr:\n${stderr.slice(-4000)}`
    if (timedOut) throw new Error(`the guest did not finish within ${timeoutSeconds} s\n${transcript}`)
    if (!exitCode.endsWith("\n")) throw new Error(`the guest stopped before its script ended\n${transcript}`)
    return { exitCode: Number(exitCode), stdout, stderr }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Returns what the script wrote to stdout between the line `== name` and the next such line. */
export function section({ exitCode, stdout, stderr }: GuestResult, name: string): string {
  const parts = `\n${stdout}`.split("\n== ").slice(1)
  const found = parts.find((part) => part.startsWith(`${name}\n`))
  if (found !== undefined) return found.slice(name.length + 1)
  const names = parts.map((part) => part.split("\n", 1)[0])
  throw new Error(`the script printed no section "${name}", only ${names.join(", ")}; exit code ${exitCode}, ${stderr}`)
}

/** The kernel unpacks archives that follow each other, so the shared root is never written to. */
function writeInitrd(root: string, directory: string, script: string, files: Readonly<Record<string, string>>) {
  const stage = join(directory, "stage")
  mkdirSync(stage)
  writeFileSync(join(stage, "script"), script)
  for (const [guestPath, hostPath] of Object.entries(files)) {
    const link = join(stage, guestPath)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(resolve(hostPath), link)
  }
  const archive = `cat ${root}; cd ${stage}; find . | cpio -o -H newc --dereference --quiet`
  execFileSync("sh", ["-ec", `{ ${archive}; } >${join(directory, "initrd")}`])
}

const portNames = ["console", "stdout", "stderr", "exitCode"] as const

function ports(directory: string): [string, string, string, string] {
  const [console, stdout, stderr, exitCode] = portNames
  const read = (name: string) => readFileSync(join(directory, name), "utf8")
  return [read(console), read(stdout), read(stderr), read(exitCode)]
}

/**
 * One processor: with two, what is emulated costs half as much again, as they wait for each other.
 * Programs at the same addresses each time (norandmaps): code that was translated for one run serves the next, in a third of the time.
 */
function qemu(machine: Machine, kernel: string, directory: string, server: string | undefined): string[] {
  return [
    machine.qemu,
    "-accel tcg -smp 1 -m 2048 -nodefaults -display none -no-reboot".split(" "),
    ["-kernel", kernel, "-initrd", join(directory, "initrd")],
    // The kernel hands `ports` and `machine` to init.
    [
      "-append",
      `${machine.kernel} quiet panic=-1 mitigations=off nokaslr norandmaps ports=${machine.ports} machine=${server ? "yes" : ""}`,
    ],
    portNames.flatMap((name) => ["-chardev", `file,id=${name},path=${join(directory, name)}`]),
    ["-serial", "chardev:console", ...portNames.slice(1).flatMap(machine.port)],
    server ? sharedFiles(server) : [],
  ].flat()
}

/** The server of the files reads and writes the guest's memory. */
function sharedFiles(server: string): string[] {
  return [
    ["-object", "memory-backend-memfd,id=memory,size=2048M,share=on", "-machine", "memory-backend=memory"],
    ["-chardev", `socket,id=files,path=${server}`, "-device", "vhost-user-fs-pci,chardev=files,tag=machine"],
  ].flat()
}

function clock({ countedTime = false }: GuestRun): string[] {
  return countedTime ? ["-icount", "shift=0"] : []
}

/** Network cards, all on one wire. */
function wire(cards: number): string[] {
  return Array.from({ length: cards }, (_, index) => {
    const address = (0x10 + index).toString(16)
    const device = `virtio-net-pci,netdev=card${index},mac=02:00:00:00:00:${address},addr=${address},romfile=`
    return ["-netdev", `hubport,id=card${index},hubid=0`, "-device", device]
  }).flat()
}

/** If a command was stopped because it took too long. */
function ended(command: readonly string[], timeoutSeconds: number): Promise<boolean> {
  const limits = { timeout: timeoutSeconds * 1000, killSignal: "SIGKILL" } as const
  return new Promise((done, fail) => {
    // The VM must not outlive a test runner that is killed.
    execFile("setpriv", ["--pdeathsig", "KILL", "--", ...command], limits, (error) => {
      if (error && !error.killed) fail(error)
      else done(error !== null)
    })
  })
}
