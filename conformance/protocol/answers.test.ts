import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, type Outcome, outcome } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"

const env = { CNI_TS_WAIT: "1" }
const GOOD = { cniVersion: "1.1.0", ips: [{ address: "10.1.2.3/24" }] }
const config = { cniVersion: "1.1.0", name: "net", bridge: "cni0", ipam: { type: "foreign" } }
const megabytes = (count: number) => count << 20

/** An ADD of bridge, whose IPAM plugin answers with that file, or does what the script says. Also what it was called with. */
function addWith(answer: Uint8Array | string, script = 'cat "$answer"') {
  using node = new Node()
  const [file, log] = [join(node.dir, "answer"), join(node.dir, "log")]
  writeFileSync(file, answer)
  writeFileSync(log, "")
  const path = install(node, "bin", `answer=${file}\ncat >/dev/null\necho $CNI_COMMAND >>${log}\n${script}`)
  const netns = node.pod()
  const before = snapshot(node)
  const { exitCode, stdout, stderr, error } = node.call("bridge", { command: "ADD", netns, path, env, config })
  const asked = readFileSync(log, "utf8").split("\n").filter(Boolean)
  writeFileSync(log, "")
  if (exitCode !== 0) expect(snapshot(node)).toEqual(before)
  expect(node.processes()).toEqual([])
  return { exitCode, stderr, error, said: stdout.length, asked }
}

/** A good answer that has something more in it. */
function withMore(more: string): string {
  return `${JSON.stringify(GOOD).slice(0, -1)},"more":${more}}`
}

describe("an IPAM plugin of others that answers", () => {
  test.each<[string, string | Uint8Array, RegExp]>([
    ["nothing", "", /gave no usable result: unexpected end at line 1, character 1: a value is due/],
    ["half a document", '{"cniVersion":"1.1.0",', /gave no usable result: \S/],
    [
      "a million lists in each other",
      withMore(`${"[".repeat(1e6)}${"]".repeat(1e6)}`),
      /nested deeper than 10000 levels/,
    ],
    ["ten megabytes", withMore(`"${"x".repeat(megabytes(10))}"`), /EFBIG/],
    [
      "three megabytes of empty lists",
      withMore(`[${"[],".repeat(megabytes(1))}1]`),
      /it takes more memory than there is/,
    ],
    ["100 MB", withMore(`"${"x".repeat(megabytes(100))}"`), /EFBIG/],
    ["100 MB of NUL bytes", new Uint8Array(megabytes(100)), /EFBIG/],
    ["invalid UTF-8 as an address", Buffer.concat([Buffer.from('{"ips":[{"address":"'), Buffer.of(0xff, 0xfe)]), /./],
  ])("%s: one error, nothing left, and it is asked to release", (_, answer, message) => {
    const { exitCode, stderr, error, said, asked } = addWith(answer)
    expect([exitCode, stderr, asked]).toEqual([1, "", ["ADD", "DEL"]])
    expect(error?.msg).toMatch(message)
    expect(error?.code).not.toBe(999)
    expect(said).toBeLessThan(2000)
  })

  test.each<[string, string | Uint8Array]>([
    ["10,000 lists in each other", withMore(`${"[".repeat(9_998)}${"]".repeat(9_998)}`)],
    ["three megabytes of text", withMore(`"${"x".repeat(megabytes(3))}"`)],
    [
      "invalid UTF-8 in what nobody reads",
      Buffer.concat([Buffer.from(withMore('"').slice(0, -1)), Buffer.of(0xff), Buffer.from('"}')]),
    ],
  ])("%s and a good address: the address is taken", (_, answer) => {
    expect(addWith(answer)).toMatchObject({ exitCode: 0, stderr: "", asked: ["ADD"] })
  })

  test("what is no UTF-8 is told as U+FFFD", () => {
    const words = Buffer.concat([Buffer.from('{"code":7,"msg":"n'), Buffer.of(0xff, 0xc3), Buffer.from('"}')])
    const { error, asked } = addWith(words, 'cat "$answer"; exit 1')
    expect([error?.code, error?.msg, asked]).toEqual([7, "n\ufffd\ufffd", ["ADD"]])
  })

  test("100 MB on stderr: it is ended, and asked to release", () => {
    const { error, asked } = addWith("", 'head -c 100000000 /dev/zero >&2; cat "$answer"')
    expect([error?.code, asked]).toEqual([101, ["ADD", "DEL"]])
    expect(error?.msg).toContain("EFBIG")
  })

  test.each([
    ["closes its outputs and goes on", 'cat "$answer"; exec >&- 2>&-; sleep 1000'],
    ["leaves behind a process that holds them", 'cat "$answer"; sleep 1000 &'],
  ])("and %s is ended in time, and asked to release", (_, script) => {
    const { error, asked } = addWith(JSON.stringify(GOOD), script)
    expect([error?.code, asked]).toEqual([11, ["ADD", "DEL"]])
  })

  test("and is killed is asked to release", () => {
    const { error, asked } = addWith("", "kill -9 $$")
    expect([error?.code, error?.details, asked]).toEqual([
      105,
      expect.stringContaining("killed by SIGKILL"),
      ["ADD", "DEL"],
    ])
  })
})

/** Has Perl change what the process inherits, and start bridge. */
function inheriting(node: Node, perl: string, call: Parameters<Node["call"]>[1]): Outcome {
  const argv = node.inside(["perl", "-MPOSIX", "-e", `${perl}; exec @ARGV or die $!`, join(binDirectory(), "bridge")])
  return outcome(run(argv, { env: environment(call), stdin: JSON.stringify(config) }))
}

describe("signals that are inherited", () => {
  const BLOCKED = "$all = POSIX::SigSet->new; $all->fillset; sigprocmask(SIG_SETMASK, $all)"
  const IGNORED = "$SIG{$_} = 'IGNORE' for qw(CHLD ALRM PIPE HUP INT TERM USR1 XFSZ)"

  test.each([
    ["blocked", BLOCKED],
    ["ignored", IGNORED],
  ])("%s: a foreign IPAM plugin's ADD and DEL work, and it has them as usual", (_, perl) => {
    using node = new Node()
    const file = join(node.dir, "signals")
    const path = install(
      node,
      "bin",
      `cat >/dev/null; grep ^Sig /proc/self/status >>${file}; echo '${JSON.stringify(GOOD)}'`,
    )
    const netns = node.pod()
    for (const command of ["ADD", "DEL"]) {
      expect(inheriting(node, perl, { command, netns, path, env })).toMatchObject({ exitCode: 0, stderr: "" })
    }
    const masks = readFileSync(file, "utf8").match(/^Sig(Blk|Ign):\s*(\w+)$/gm) ?? []
    expect(masks).toHaveLength(4)
    for (const mask of masks) expect(mask).toMatch(/:\s*0+$/)
  })

  test.each([
    ["blocked", BLOCKED],
    ["ignored", IGNORED],
  ])("%s: a foreign IPAM plugin that hangs is ended in time", (_, perl) => {
    using node = new Node()
    const path = install(node, "bin", "sleep 1000")
    const done = inheriting(node, perl, { command: "ADD", netns: node.pod(), path, env })
    expect([done.exitCode, done.error?.code, done.stderr]).toEqual([1, 11, ""])
    expect(node.processes()).toEqual([])
  })
})
