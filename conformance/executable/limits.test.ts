import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { environment, type Outcome, outcome } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node, type Pod } from "../lab/node.ts"
import { measuringPeak } from "../lab/peak.ts"
import { run } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"
import { hostLocal, Network } from "../plugins/bridge/network.ts"
import { runInGuest, section } from "../systems/vm/guest.ts"

const node = new Node()
afterAll(() => node[Symbol.dispose]())
const pod = node.pod()
const network = new Network(node, { ipam: hostLocal(node), isDefaultGateway: true })
// The lock of the leases stays after the first call.
mkdirSync(join(node.dir, "ipam/net"), { recursive: true })
network.add(pod)
network.del(pod)

const PROGRAM = join(binDirectory(), "bridge")

/** Starts bridge by a program that changes something about the process first: `prlimit --as=1000`. */
function under(launcher: readonly string[], command = "ADD", of: Pod = pod): Outcome {
  const call = { command, netns: of, config: network.config }
  // The shell survives a program that the kernel kills.
  const argv = node.inside(["sh", "-c", '"$@"; exit $?', "sh", ...launcher, PROGRAM])
  return outcome(run(argv, { env: environment(call), stdin: JSON.stringify(network.config) }))
}

/**
 * Attempts an ADD: "done" if it succeeded, and it is taken back; else the message of the one error document, after making sure that the
 * node is as it was.
 */
function attempt(launcher: readonly string[]): string {
  const before = snapshot(node)
  const done = under(launcher)
  if (done.exitCode === 0) {
    expect(done.result?.ips).toHaveLength(1)
    expect(network.del(pod).exitCode).toBe(0)
    return "done"
  }
  expect([done.exitCode, done.stderr, done.error]).toEqual([
    1,
    "",
    expect.objectContaining({ code: expect.any(Number) }),
  ])
  expect(snapshot(node)).toEqual(before)
  return done.error?.msg ?? ""
}

const KIB = 1024
const MIB = 1024 * KIB

describe("a call under a limit does all or nothing, and says what it lacks:", () => {
  test.each([
    ["address space", "as", [4 * MIB, 4.1 * MIB, 5 * MIB, 8 * MIB, 16 * MIB, 100 * MIB]],
    ["data", "data", [3 * MIB, 3.3 * MIB, 10 * MIB]],
    ["stack", "stack", [32, 64, 128, 160, 192, 256, 1024, 8192].map((size) => size * KIB)],
  ])("%s", (_, limit, sizes) => {
    const ends = sizes.map((size) => attempt(["prlimit", `--${limit}=${size}`]))
    // From some size on it works, and below it is always the same that is said.
    const works = ends.indexOf("done")
    expect(works).toBeGreaterThanOrEqual(0)
    expect(new Set(ends.slice(0, works))).toEqual(new Set(works > 0 ? ["out of memory"] : []))
    expect(new Set(ends.slice(works))).toEqual(new Set(["done"]))
  })

  test("what is said names the limits", () => {
    expect(under(["prlimit", "--stack=65536"]).error).toEqual({
      code: 999,
      msg: "out of memory",
      details: expect.stringContaining("ulimit -v, -d and -s"),
    })
  })

  test("a stack of 256 KiB is enough", () => {
    expect(attempt(["prlimit", "--stack=262144"])).toBe("done")
  })

  test("a stack that the environment takes most of", () => {
    expect(attempt(["env", `LARGE=${"x".repeat(100 * KIB)}`, "prlimit", "--stack=262144"])).toBe("out of memory")
  })

  test("file descriptors", () => {
    const ends = Array.from({ length: 16 }, (_, count) => attempt(["prlimit", `--nofile=${count}`]))
    const works = ends.indexOf("done")
    expect(works).toBeGreaterThan(3)
    for (const end of ends.slice(0, works)) expect(end).toMatch(/^cannot .*: EMFILE/)
    expect(new Set(ends.slice(works))).toEqual(new Set(["done"]))
  })

  test("the size of files", () => {
    expect(attempt(["prlimit", "--fsize=0"])).toMatch(/^cannot create .*: EFBIG/)
    expect(attempt(["prlimit", "--fsize=4096"])).toBe("done")
  })

  test("processes", () => {
    expect(attempt(["prlimit", "--nproc=0"])).toBe("done")
  })

  test("processes, if it needs one for an IPAM plugin of others", () => {
    const foreign = new Network(node, { ipam: { type: "foreign" } })
    const path = `${binDirectory()}:${install(node, "bin", "exit 1")}`
    const before = snapshot(node)
    const inject = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=clone,clone3,vfork,fork:error=EAGAIN"]
    const argv = node.inside([...inject, "-e", "trace=clone,clone3,vfork,fork", PROGRAM])
    const env = environment({ command: "ADD", netns: pod, path })
    const { error } = outcome(run(argv, { env, stdin: JSON.stringify(foreign.config) }))
    expect(error).toMatchObject({
      code: 101,
      msg: `cannot start ${join(node.dir, "bin/foreign")}: EAGAIN (resource temporarily unavailable)`,
    })
    expect(snapshot(node)).toEqual(before)
  })
})

describe("where the kernel cannot even load the executable", () => {
  test.each(["--as=1000000", "--data=10000"])("%s: it is killed before it has done anything", (limit) => {
    const before = snapshot(node)
    expect(under(["prlimit", limit])).toMatchObject({ exitCode: 139, stdout: "" })
    expect(snapshot(node)).toEqual(before)
  })
})

describe("memory that is refused at some point, and from then on, leaves the node as it was:", () => {
  test.each(["mmap", "brk", "mmap,brk,mremap"])("%s", (names) => {
    const ends = Array.from({ length: 5 }, (_, nth) => {
      const inject = `inject=${names}:error=ENOMEM:when=${nth + 1}+`
      return attempt(["strace", "-qq", "-o", "/dev/null", "-e", `trace=${names}`, "-e", inject])
    })
    for (const end of ends) expect(end).toMatch(/^done$|memory/)
    expect(ends).toContain("done")
  })
})

/** Ten megabytes of stdin. The last column is the code of the error, or undefined if the config is a good one. */
const size = 10 * MIB
const repeated = (text: string) => text.repeat(Math.ceil(size / Buffer.byteLength(text)))
describe("ten megabytes of stdin are answered in little memory, and refused without a trace:", () => {
  test.each<[string, string, number | undefined]>([
    ["a long string", `"${repeated("n")}"`, undefined],
    ["a long string that is not ASCII", `"${repeated("é€")}"`, undefined],
    ["a long string of escapes", `"${repeated("\\n")}"`, undefined],
    ["a list of small objects", `[${repeated('{"a":1},')}1]`, 6],
    ["a list of numbers", `[${repeated("1,")}1]`, 6],
    ["a list of numbers that are not whole", `[${repeated("1.5,")}1]`, 6],
    ["a list of strings", `[${repeated('"ab",')}1]`, 6],
    ["many keys", `{${Array.from({ length: size / 10 }, (_, at) => `"${at}":1,`).join("")}"a":1}`, 6],
    ["lists in lists", `${"[".repeat(size / 2)}${"]".repeat(size / 2)}`, 6],
    ["objects in objects", `${repeated('{"a":')}`, 6],
    ["half surrogate pairs", `"${repeated("\\ud800")}"`, 6],
    ["a string that nobody closes", `"${repeated("n")}`, 6],
    ["blanks", repeated(" "), 6],
  ])("%s", (_, value, code) => {
    const before = snapshot(node)
    const stdin = `${JSON.stringify(network.config).slice(0, -1)},"more":${value}}`
    const file = join(node.dir, "peak")
    const argv = node.inside(measuringPeak(file, [PROGRAM]))
    const done = outcome(run(argv, { env: environment({ command: "ADD", netns: pod }), stdin }))
    expect([done.error?.code, done.stderr]).toEqual([code, ""])
    const peak = Number(readFileSync(file, "utf8"))
    expect(peak).toBeGreaterThan(10 * KIB)
    expect(peak).toBeLessThan(64 * KIB)
    rmSync(file)
    if (code === undefined) expect(network.del(pod).exitCode).toBe(0)
    else expect(snapshot(node)).toEqual(before)
  })

  test("a long network name with a blank in it", () => {
    const { error } = network.ask("ADD", pod, { config: { name: `${repeated("n")} ` } })
    expect(error).toMatchObject({ code: 7, msg: "invalid characters found in network name" })
  })
})

describe("a config that is nested deep", () => {
  test.each([
    ["[", "]"],
    ['{"a":', "}"],
  ])("is read if it has 9,999 levels of %s, and refused if it has 100,000", (open, close) => {
    const nested = (levels: number) =>
      `${JSON.stringify(network.config).slice(0, -1)},"more":${open.repeat(levels)}1${close.repeat(levels)}}`
    const ask = (command: string, levels: number) => node.call("bridge", { command, netns: pod, stdin: nested(levels) })
    expect(ask("ADD", 9_998)).toMatchObject({ exitCode: 0, stderr: "" })
    expect(ask("DEL", 9_998)).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    const msg = "cannot decode the network config: nested deeper than 10000 levels"
    expect(ask("ADD", 100_000).error).toMatchObject({ code: 6, msg })
  })
})

describe("where memory is never promised twice (vm.overcommit_memory=2)", () => {
  test("a pod is connected and taken down", async () => {
    const [opt, dist] = ["/opt/cni/bin", binDirectory()]
    const files = { [`${opt}/bridge`]: `${dist}/bridge`, [`${opt}/host-local`]: `${dist}/host-local` }
    const config = { ...network.config, ipam: { type: "host-local", dataDir: "/run/ipam", subnet: "10.7.0.0/24" } }
    const guest = await runInGuest({
      files,
      script: `
        export CNI_PATH=${opt} CNI_CONTAINERID=one CNI_IFNAME=eth0 CNI_NETNS=/run/netns/one
        ip netns add one
        echo 2 >/proc/sys/vm/overcommit_memory
        call() { echo "== $1"; CNI_COMMAND=$1 ${opt}/bridge <<END
${JSON.stringify(config)}
END
          status=$?; echo; echo "== after $1"; echo $status; }
        call ADD; call DEL`,
    })
    expect(["after ADD", "DEL", "after DEL"].map((name) => section(guest, name).trim())).toEqual(["0", "", "0"])
    expect(JSON.parse(section(guest, "ADD")).ips).toHaveLength(1)
  })
})
