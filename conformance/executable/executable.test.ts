import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { type Call, environment, outcome } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { parseTrace } from "../lab/strace.ts"

const node = new Node()
afterAll(() => node[Symbol.dispose]())

const BRIDGE = join(binDirectory(), "bridge")
const VERSION = { CNI_COMMAND: "VERSION" }
const ANSWER = expect.stringMatching(/^\{"cniVersion":"1.1.0","supportedVersions":\[.*\]\}\n$/)

/** Files that other runtimes and loaders look for in the working directory. */
const TRAPS = [".env", "package.json", "tsconfig.json", "node_modules", "libc.so.6", "ld.so.preload", "bridge", "proc"]
const VARIABLES = {
  LD_PRELOAD: "./libc.so.6",
  LD_LIBRARY_PATH: ".",
  LD_AUDIT: "./libc.so.6",
  LD_DEBUG: "all",
  LD_SHOW_AUXV: "1",
  LD_BIND_NOW: "1",
  GLIBC_TUNABLES: "glibc.malloc.check=3",
  MALLOC_ARENA_MAX: "1",
  MALLOC_PERTURB_: "165",
  NODE_OPTIONS: "--require=./package.json",
  PATH: ".",
  HOME: ".",
  TMPDIR: ".",
  TZ: ":./package.json",
  LANG: "tr_TR.UTF-8",
  LC_ALL: "tr_TR.UTF-8",
  LOCPATH: ".",
  MUSL_LOCPATH: ".",
  NLSPATH: "./%N",
  PWD: "/nowhere",
  SHELL: "./bridge",
  IFS: "a",
  DEBUG: "*",
}

describe("the working directory and the environment", () => {
  const directory = join(node.dir, "trap")
  mkdirSync(directory)
  for (const name of TRAPS) writeFileSync(join(directory, name), "{}")

  test("are looked at for nothing but what docs/security.md says", () => {
    const file = join(node.dir, "strace.out")
    const argv = ["env", "-C", directory, "strace", "-f", "-qq", "-o", file, "-e", "trace=%file"]
    const variables = Object.entries(VARIABLES).map(([name, value]) => `${name}=${value}`)
    const done = run([...argv, "env", ...variables, BRIDGE], { env: { ...VERSION, PATH: process.env["PATH"] ?? "" } })
    expect(done).toMatchObject({ exitCode: 0, stdout: ANSWER })
    const { calls } = parseTrace(file)
    const own = calls.slice(calls.findIndex(({ args }) => args.startsWith(`"${BRIDGE}"`)))
    expect(own.map(({ name, args }) => `${name} ${args.split(",")[0]}`)).toEqual([`execve "${BRIDGE}"`])
  })

  /** An ADD that is refused, in that directory, with these variables besides. */
  function refused(...variables: string[]) {
    const call = { command: "ADD", config: { name: "net", cniVersion: "1.0.0", bridge: "a/b" }, netns: "/none" }
    const argv = node.inside(["env", "-C", directory, ...variables, BRIDGE])
    return outcome(run(argv, { env: environment(call), stdin: JSON.stringify(call.config) }))
  }

  test.each(Object.entries(VARIABLES))("%s=%s changes nothing", (name, value) => {
    const plain = refused()
    expect(plain.error?.code).toBe(7)
    expect(refused(`${name}=${value}`)).toEqual(plain)
  })

  test.each(["--version", "--help", "-e", "--eval=1", "./package.json"])(
    "the argument %s changes nothing",
    (argument) => {
      expect(run([BRIDGE, argument], { env: VERSION })).toMatchObject({ exitCode: 0, stdout: ANSWER, stderr: "" })
    },
  )
})

function networkOf(bridge: string, subnet: string, dataDir: string) {
  const ipam = { type: "host-local", dataDir, ranges: [[{ subnet }]] }
  return { cniVersion: "1.1.0", name: "net", type: "bridge", bridge, isDefaultGateway: true, ipMasq: true, ipam }
}

describe("on a node that has nothing but /proc", () => {
  const pod = node.pod()
  const network = networkOf("bare0", "10.77.0.0/24", "/run/leases")
  const bin = join(node.dir, "bin")
  mkdirSync(bin)
  for (const plugin of ["bridge", "host-local"]) cpSync(join(binDirectory(), plugin), join(bin, plugin))

  /** A root of its own, read-only save for the leases: two copies of the executable, the pods' namespaces, and what `mounts` adds. */
  function bare(command: string, mounts = "mount -t proc none $root/proc", more: Partial<Call> = {}) {
    const script = `
      root=$1 bin=$2 leases=$3
      mkdir -p $root $leases; mount -t tmpfs none $root
      mkdir -p $root/bin $root/proc $root/run/netns $root/run/leases
      mount --bind $bin $root/bin; mount --rbind /run/netns $root/run/netns; mount --bind $leases $root/run/leases
      ${mounts}
      mount -o remount,ro,bind $root; mount -o remount,ro,bind $root/bin
      exec chroot $root /bin/bridge`
    const call = { command, netns: pod, path: "/bin", config: network, ...more }
    const shell = ["unshare", "-m", "sh", "-euc", script, "sh", join(node.dir, "root"), bin, join(node.dir, "leases")]
    return outcome(run(node.inside(shell), { env: environment(call), stdin: JSON.stringify(call.config) }))
  }

  test("it connects a pod, checks it and takes it down again", () => {
    const added = bare("ADD")
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    expect(added.result?.ips).toMatchObject([{ address: "10.77.0.2/24" }])
    expect(pod.addresses("eth0")).toContain("10.77.0.2/24")
    expect(pod.pings("10.77.0.1")).toBe(true)
    const config = { ...network, prevResult: added.result }
    expect(bare("CHECK", undefined, { config })).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })

    // Without /proc it would find no namespace, and take the pod for gone.
    for (const command of ["DEL", "CHECK", "GC", "STATUS"]) {
      expect(bare(command, "", { config }).error, command).toEqual({
        cniVersion: "1.1.0",
        code: 101,
        msg: "cannot read /proc/self: there is no /proc",
        details: "mount proc on /proc: the plugins find namespaces there, and the kernel's settings",
      })
    }
    expect(pod.pings("10.77.0.1")).toBe(true)
    expect(bare("DEL")).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(pod.link("eth0")).toBeUndefined()
  })

  test("without /proc ADD says so, and does nothing", () => {
    const leases = () => readdirSync(join(node.dir, "leases"), { recursive: true }).sort()
    const before = [node.ip("link"), leases()]
    expect(bare("ADD", "").error).toMatchObject({ code: 101, msg: expect.stringContaining("there is no /proc") })
    expect([node.ip("link"), leases()]).toEqual(before)
    expect(bare("VERSION", "").result?.supportedVersions).toContain("1.1.0")
  })
})

/** PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN, as by systemd's MemoryDenyWriteExecute=; kernels before 6.3 do not know it. */
const PRCTL = process.arch === "arm64" ? 167 : 157
const WITHOUT_EXECUTABLE_MEMORY = `syscall(${PRCTL}, 65, 1, 0, 0, 0) == 0 or $!{EINVAL} or die $!; exec @ARGV or die $!`

test("it needs no memory that is first written and then executed", () => {
  const pod = node.pod()
  const config = networkOf("mdwe0", "10.78.0.0/24", join(node.dir, "mdwe"))
  for (const command of ["ADD", "DEL"]) {
    const call = { command, netns: pod, config }
    const argv = node.inside(["perl", "-e", WITHOUT_EXECUTABLE_MEMORY, BRIDGE])
    const done = outcome(run(argv, { env: environment(call), stdin: JSON.stringify(config) }))
    expect(done).toMatchObject({ exitCode: 0, stderr: "" })
    if (command === "ADD") expect(pod.pings("10.78.0.1")).toBe(true)
  }
  const { calls } = node.trace("bridge", { command: "ADD", netns: pod, config }, "%memory")
  expect(calls.filter(({ args }) => args.includes("PROT_EXEC"))).toEqual([])
})

describe("standard descriptors that are closed from the start", () => {
  const pod = node.pod()
  const directory = join(node.dir, "closed")
  const config = networkOf("closed0", "10.79.0.0/24", directory)

  /** Runs an ADD, and a DEL after it, with descriptors bent by the shell. */
  function add(redirection: string) {
    const call = { command: "ADD", netns: pod, config }
    const shell = node.inside(["sh", "-c", `exec "$0" ${redirection}`, BRIDGE])
    const done = outcome(run(shell, { env: environment(call), stdin: JSON.stringify(config) }))
    const left = [pod.link("eth0"), existsSync(join(directory, "net/10.79.0.2"))]
    expect(node.call("bridge", { ...call, command: "DEL" })).toMatchObject({ exitCode: 0 })
    return { ...done, left }
  }

  test("stdin is an error of input", () => {
    const { exitCode, error, left } = add("<&-")
    expect([exitCode, error?.code, left]).toEqual([1, 5, [undefined, false]])
    expect(error?.msg).toMatch(/^cannot read stdin: EBADF/)
  })

  test("stdout takes the ADD back, and stderr says why", () => {
    const { exitCode, stdout, stderr, left } = add(">&-")
    expect([exitCode, stdout, left]).toEqual([1, "", [undefined, false]])
    expect(stderr).toMatch(/^cannot write stdout: EBADF.*\n$/)
  })

  test("stderr is not missed", () => {
    expect(add("2>&-")).toMatchObject({ exitCode: 0, result: { cniVersion: "1.1.0" } })
  })

  test("all three: exit code 1, and no file gets what was for stdout", () => {
    expect(add(">&- 2>&-")).toMatchObject({ exitCode: 1, stdout: "", stderr: "", left: [undefined, false] })
    expect(add("<&- >&- 2>&-")).toMatchObject({ exitCode: 1, stdout: "", stderr: "", left: [undefined, false] })
    const texts = run(["grep", "-r", "cniVersion", directory]).stdout
    expect(texts).toBe("")
  })
})
