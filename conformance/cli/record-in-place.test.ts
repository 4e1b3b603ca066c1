import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { binDirectory } from "../lab/executables.ts"
import { changesOf, killAt } from "../lab/kill-points.ts"
import { output, run, runAsync } from "../lab/run.ts"
import { Recorder, recordingIn, stopRecording, tracesIn } from "./recorder.ts"

/** Says all that it can tell of its call, on stdout in bytes that are no text, and ends as its stdin says. */
const TALKATIVE = `#!/bin/bash
input=$(cat)
printf 'arguments %s, input %s, secret %s, \\xff\\xfe\\n' "$*" "$input" "$SECRET"
printf 'warning \\x80\\n' >&2
case "$input" in
  *killed*) kill -KILL $$ ;;
  *aborts*) kill -ABRT $$ ;;
  *long*) head -c 3000000 /dev/zero | tr '\\0' x ;;
  *sleeps*) exec sleep 600 ;;
esac
exit 7
`

let top: string
let plugins: string
let recording: string
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), `cnits-${process.env["CNITS_RUN"] ?? process.pid}-record-`))
  plugins = join(top, "bin")
  recording = join(top, "recording")
  mkdirSync(plugins)
  writeFileSync(join(plugins, "talkative"), TALKATIVE, { mode: 0o755 })
  symlinkSync("talkative", join(plugins, "alias"))
  writeFileSync(join(plugins, "README.md"), "no plugin")
})
afterEach(() => rmSync(top, { recursive: true, force: true }))

interface Wish {
  readonly stdin?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Calls a plugin by its name, and returns all that its caller gets to know. */
function call(name: string, { stdin = "", args = [], env = { CNI_COMMAND: "ADD", SECRET: "x" } }: Wish = {}) {
  const { status, signal, stdout, stderr } = spawnSync(join(plugins, name), args, { input: stdin, env, maxBuffer: 1e8 })
  return { status, signal, stdout: stdout.toString("hex"), stderr: stderr.toString("hex") }
}

/** Returns what each file in the plugin directory is. */
function files(): Record<string, string> {
  const described = readdirSync(plugins, { withFileTypes: true }).map((entry) => {
    const path = join(plugins, entry.name)
    const { ino, mode, mtimeMs } = statSync(path)
    return [entry.name, entry.isSymbolicLink() ? readlinkSync(path) : `${ino} ${mode} ${mtimeMs}`]
  })
  return Object.fromEntries(described)
}

describe("a call is answered as ever while it is recorded", () => {
  test.each<[string, Wish]>([
    ["with an exit status", { stdin: "{}" }],
    ["with a signal", { stdin: "killed" }],
    ["with a signal that leaves a core", { stdin: "aborts" }],
    ["with more than is recorded", { stdin: "long" }],
    ["after more input than is recorded", { stdin: `long${" ".repeat(3_000_000)}` }],
    ["with arguments", { args: ["daemon", "a b"] }],
    ["without a command", { env: { SECRET: "x" } }],
  ])("%s", async (_, wish) => {
    const plain = call("talkative", wish)
    const recorder = await Recorder.start(recording, plugins)
    expect(call("talkative", wish)).toEqual(plain)
    expect(call("alias", wish)).toEqual(plain)
    await recorder.end()
  })

  test("if nobody ends its stdin", async () => {
    const script = `(echo '{"a":1}'; sleep 1.5; echo late) | SECRET=x CNI_COMMAND=ADD ${join(plugins, "talkative")}`
    const plain = run(["bash", "--norc", "-c", script])
    const recorder = await Recorder.start(recording, plugins)
    expect(run(["bash", "--norc", "-c", script])).toEqual(plain)
    await recorder.end()
    expect([...recordingIn(recording).values()]).toMatchObject([{ stdin: '{"a":1}\n', cut: ["stdin"] }])
  })

  test("with bytes in its environment that are no text", async () => {
    const script = `CNI_COMMAND=ADD SECRET=$'a\\xffb' ${join(plugins, "talkative")} </dev/null | base64`
    const plain = output(["bash", "--norc", "-c", script])
    expect(Buffer.from(plain, "base64").includes(Buffer.from([0x61, 0xff, 0x62]))).toBe(true)
    const recorder = await Recorder.start(recording, plugins)
    expect(output(["bash", "--norc", "-c", script])).toBe(plain)
    await recorder.end()
  })

  test("if nobody reads its answer", async () => {
    const recorder = await Recorder.start(recording, plugins)
    const script = `echo long | CNI_COMMAND=ADD ${join(plugins, "talkative")} 2>/dev/null | true; echo \${PIPESTATUS[1]}`
    expect(run(["bash", "--norc", "-c", script]).stdout).toBe("7\n")
    await recorder.end()
  })

  test("and there is a record of each, in the order in which they began", async () => {
    const recorder = await Recorder.start(recording, plugins)
    for (const stdin of ["{}", "killed", "long"]) call("talkative", { stdin })
    call("alias", { args: ["daemon"] })
    call("alias", { env: {} })
    expect(await recorder.end("SIGTERM")).toBe(`${recording}: 3 calls are recorded, 3 failed\n`)
    const calls = recordingIn(recording)
    expect([...calls.keys()]).toEqual([1, 2, 3].map((number) => `000${number}-talkative-ADD.json`))
    const [ended, killed, long] = [...calls.values()]
    expect(ended?.answer).toEqual({
      exitCode: 7,
      stdout: "arguments , input {}, secret x, \ufffd\ufffd\n",
      stderr: "warning \ufffd\n",
    })
    expect(killed?.answer).toMatchObject({ signal: "SIGKILL" })
    expect([long?.cut, long?.answer?.stdout.length]).toEqual([["stdout"], 1 << 20])
  })
})

describe("calls go on, if they cannot be recorded", () => {
  const plain = () => call("talkative", { stdin: "{}" })

  test("the directory is gone", async () => {
    const before = plain()
    const recorder = await Recorder.start(recording, plugins)
    rmSync(recording, { recursive: true })
    expect(plain()).toEqual(before)
    expect(await recorder.end()).toContain("0 calls are recorded")
  })

  test("the disk is full", async () => {
    const before = plain()
    mkdirSync(recording)
    output(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", recording])
    try {
      writeFileSync(join(recording, "ballast"), Buffer.alloc(4096))
      const recorder = await Recorder.start(recording, plugins)
      expect(plain()).toEqual(before)
      expect(readdirSync(recording)).toEqual(["ballast"])
      rmSync(join(recording, "ballast"))
      expect(await recorder.end()).toContain("0 calls are recorded")
    } finally {
      output(["umount", recording])
    }
  })

  test("the caller may write no files, or open few", async () => {
    const before = plain()
    const recorder = await Recorder.start(recording, plugins)
    for (const limit of ["--fsize=0", "--nofile=12"]) {
      const env = { CNI_COMMAND: "ADD", SECRET: "x" }
      const program = ["prlimit", limit, join(plugins, "talkative")]
      const { status, stdout } = spawnSync(program[0] ?? "", program.slice(1), { input: "{}", env })
      expect([status, stdout.toString("hex")], limit).toEqual([before.status, before.stdout])
    }
    await recorder.end()
  })
})

describe("kills", () => {
  test("of the recorder leave plugins that work and record nothing; --stop puts them back", async () => {
    const before = files()
    const plain = call("talkative", { stdin: "{}" })
    const recorder = await Recorder.start(recording, plugins)
    await recorder.end("SIGKILL")
    expect(call("talkative", { stdin: "{}" })).toEqual(plain)
    expect(recordingIn(recording).size).toBe(0)
    expect(stopRecording(plugins)).toMatchObject({ exitCode: 0, stdout: `${recording}: 0 calls are recorded\n` })
    expect(files()).toEqual(before)
    const broken = await Recorder.start(recording, plugins)
    await broken.end("SIGKILL")
    writeFileSync(join(plugins, ".cni-ts-recording/settings"), '{"dir')
    expect(call("talkative", { stdin: "{}" })).toEqual(plain)
    expect(stopRecording(plugins)).toMatchObject({ exitCode: 0 })
    expect(files()).toEqual(before)
    const told = { directory: recording, calls: 0, failed: 0, unended: 0 }
    expect(JSON.parse(run([...recordMoment(), "-o", "json"]).stdout)).toEqual(told)
    expect(stopRecording(plugins)).toMatchObject({ exitCode: 0, stdout: `nothing is being recorded in ${plugins}\n` })
  })

  test("of a call reach the plugin, and leave what it was given", async () => {
    const recorder = await Recorder.start(recording, plugins)
    const child = spawn(join(plugins, "talkative"), { env: { CNI_COMMAND: "ADD" }, stdio: ["pipe", "pipe", "ignore"] })
    child.stdin.end("sleeps")
    await once(child.stdout, "data")
    const sleeping = () => run(["pgrep", "--full", "--parent", String(child.pid), "sleep 600"]).stdout.trim()
    while (sleeping() === "") await new Promise((resolve) => setTimeout(resolve, 20))
    const plugin = sleeping()
    child.kill("SIGKILL")
    await once(child, "exit")
    while (run(["kill", "-0", plugin]).exitCode === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await recorder.end()).toContain("1 call is recorded, 1 did not end")
    expect([...recordingIn(recording).values()]).toMatchObject([{ plugin: "talkative", stdin: "sleeps" }])
  })

  test("of the recorder at any step leave plugins that work; --stop or the next recorder puts them back", () => {
    const before = files()
    const plain = call("alias", { stdin: "{}" })
    const points = changesOf(recordMoment(), join(top, "strace.out"))
    expect(points.length).toBeGreaterThan(20)
    for (const [at, point] of points.entries()) {
      killAt(point, recordMoment())
      const step = `${point.name} ${point.nth}`
      expect(call("alias", { stdin: "{}" }), step).toEqual(plain)
      rmSync(recording, { recursive: true, force: true })
      const again = at % 2 === 0 ? stopRecording(plugins) : run(recordMoment())
      expect(again, step).toMatchObject({ exitCode: 0, stderr: "" })
      expect(files(), step).toEqual(before)
    }
  })
})

/** The words of a command that records, and ends at once. */
const recordMoment = (directory = recording) => [
  ...[join(binDirectory(), "cni-ts"), "record", directory],
  ...["--plugins", plugins, "--for", "0s"],
]

describe("others in the directory", () => {
  test("a second recorder is told of the first", async () => {
    const recorder = await Recorder.start(recording, plugins)
    expect(run(recordMoment())).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("recorded already") })
    await recorder.end()
    call("talkative", { stdin: "{}" })
  })

  test("what somebody puts there meanwhile stays, by rename or written into the file", async () => {
    const other = "#!/bin/sh\necho other\n"
    const recorder = await Recorder.start(recording, plugins)
    writeFileSync(join(top, "new"), other, { mode: 0o755 })
    renameSync(join(top, "new"), join(plugins, "talkative"))
    expect(await recorder.end()).toContain("somebody else's since")
    expect(readFileSync(join(plugins, "talkative"), "utf8")).toBe(other)
    const next = await Recorder.start(join(top, "second"), plugins)
    writeFileSync(join(plugins, "talkative"), other.replace("other", "another"))
    await next.end()
    expect(run([join(plugins, "talkative")]).stdout).toBe("another\n")
    expect(tracesIn(plugins)).toEqual([])
  })

  test("the installer ends a recording, and takes originals for what was there before", async () => {
    const from = join(top, "from")
    mkdirSync(from)
    for (const name of ["bridge", "cni-ts"]) copyFileSync(join(binDirectory(), name), join(from, name))
    writeFileSync(join(plugins, "bridge"), TALKATIVE, { mode: 0o755 })
    const before = files()
    const recorder = await Recorder.start(recording, plugins)
    output([join(from, "cni-ts"), "install", plugins])
    await recorder.awaitEnd()
    expect(readFileSync(join(plugins, ".cni-ts/replaced/bridge"), "utf8")).toBe(TALKATIVE)
    output([join(from, "cni-ts"), "uninstall", plugins])
    expect(files()).toEqual(before)
  })

  test("calls that come while recorders begin and end are answered, each once", async () => {
    copyFileSync(join(binDirectory(), "host-local"), join(plugins, "host-local"))
    chmodSync(join(plugins, "host-local"), 0o755)
    const call = () => runAsync([join(plugins, "host-local")], { env: { CNI_COMMAND: "VERSION" } })
    const plain = await call()
    let done = false
    const caller = async () => {
      while (!done) expect(await call()).toEqual(plain)
    }
    const callers = [caller(), caller(), caller(), caller()]
    for (let round = 0; round < 5; round++)
      expect(await runAsync(recordMoment(join(top, String(round))))).toMatchObject({ exitCode: 0, stderr: "" })
    const recorder = await Recorder.start(recording, plugins)
    await Promise.all(Array.from({ length: 20 }, call))
    expect(await recorder.end()).toMatch(/: \d+ calls are recorded\n$/)
    done = true
    await Promise.all(callers)
    const calls = recordingIn(recording)
    expect(calls.size).toBeGreaterThanOrEqual(20)
    expect([...calls.values()].map(({ answer }) => answer?.stdout)).toEqual([...calls.values()].map(() => plain.stdout))
  })
})
