import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { describe, expect, test } from "vitest"
import { environment, outcome } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"
import { hostLocal, Network } from "../plugins/bridge/network.ts"
import { plugIn } from "../plugins/macvlan/network.ts"

const env = { CNI_TS_WAIT: "1" }
const VERBS = ["ADD", "DEL", "CHECK", "GC", "STATUS"]

/** Holds flock(2)'s lock on the file while `action` runs. */
async function whileLocked(file: string, action: () => void): Promise<void> {
  const holder = spawn("flock", [file, "sh", "-c", "echo locked; exec cat"], { stdio: ["pipe", "pipe", "inherit"] })
  const ended = once(holder, "close")
  try {
    await once(holder.stdout, "data")
    action()
  } finally {
    holder.stdin.end()
    await ended
  }
}

test.each(["bridge", "ptp", "macvlan", "tap"])(
  "the wait for another ADD in the same pod has an end (%s)",
  async (type) => {
    using node = new Node()
    if (type === "macvlan") plugIn(node)
    const more = type === "macvlan" ? { master: "uplink" } : {}
    const network = new Network(node, { type, ...more, ipam: hostLocal(node) })
    const pod = node.pod()
    await whileLocked(pod.path, () => {
      const before = snapshot(node)
      const { error } = network.add(pod, { env })
      expect(error).toMatchObject({ code: 11, msg: `cannot lock ${pod.path} within 1 seconds` })
      expect(error?.details).toMatch(/^process \d+ \((flock|sh|cat)\) holds it$/)
      expect(network.del(pod).exitCode).toBe(0)
      expect(snapshot(node)).toEqual(before)
    })
    network.connect(pod)
  },
)

describe("the wait for the lock of host-local's leases", () => {
  test.each(["ADD", "DEL", "CHECK", "GC"])("has an end: %s is code 11 and says who holds it", async (command) => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const file = join(node.dir, "ipam/net/lock")
    mkdirSync(join(node.dir, "ipam/net"), { recursive: true })
    const call = { command, netns: node.pod(), config: network.config, env }
    await whileLocked(file, () => {
      const { error } = node.call("host-local", call)
      expect(error).toMatchObject({ code: 11, msg: `cannot lock ${file} within 1 seconds` })
      expect(error?.details).toMatch(/^process \d+ \((flock|sh|cat)\) holds it$/)
    })
    expect(node.call("host-local", call).error?.code).toBe(command === "CHECK" ? 104 : undefined)
  })

  test.each([
    ["blocked", "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGALRM))"],
    ["ignored", "$SIG{ALRM} = 'IGNORE'"],
  ])("has an end if SIGALRM is %s by whoever started the plugin", async (_, perl) => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const file = join(node.dir, "ipam/net/lock")
    mkdirSync(join(node.dir, "ipam/net"), { recursive: true })
    const variables = environment({ command: "ADD", netns: node.pod(), env })
    const argv = ["perl", "-MPOSIX", "-e", `${perl}; exec @ARGV or die $!`, join(binDirectory(), "host-local")]
    await whileLocked(file, () => {
      const done = outcome(run(node.inside(argv), { env: variables, stdin: JSON.stringify(network.config) }))
      expect(done.error).toMatchObject({ code: 11, msg: `cannot lock ${file} within 1 seconds` })
    })
  })

  test("leaves a failed ADD of bridge without a trace", async () => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const file = join(node.dir, "ipam/net/lock")
    mkdirSync(join(node.dir, "ipam/net"), { recursive: true })
    const netns = node.pod()
    await whileLocked(file, () => {
      const before = snapshot(node)
      expect(network.ask("ADD", netns, { env }).error).toMatchObject({ code: 11 })
      expect(snapshot(node)).toEqual(before)
    })
  })
})

const PLUGINS = [
  "bandwidth",
  "bridge",
  "firewall",
  "host-device",
  "host-local",
  "loopback",
  "macvlan",
  "portmap",
  "ptp",
  "sbr",
  "static",
  "tuning",
]

describe("stdin that never ends", () => {
  test.each(PLUGINS)(
    "is waited for so long and no longer, by %s and every verb (the reference waits for ever)",
    async (plugin) => {
      using node = new Node()
      const pod = node.pod()
      const before = snapshot(node)
      const starts = ["", '{"cniVersion":"1.1.0"'].flatMap((start) => VERBS.map((command) => ({ command, start })))
      const ends = await Promise.all(
        starts.map(async ({ command, start }) => {
          const variables = environment({ command, netns: pod, env })
          const [enter = "", ...argv] = node.inside([join(binDirectory(), plugin)])
          const child = spawn(enter, argv, { env: variables, stdio: ["pipe", "pipe", "inherit"] })
          child.stdin.write(start)
          const [stdout, [status]] = await Promise.all([text(child.stdout), once(child, "close")])
          const { code, msg } = JSON.parse(stdout)
          return [status, code, msg]
        }),
      )
      expect(ends).toEqual(starts.map(() => [1, 11, "stdin did not end within 1 seconds"]))
      expect(snapshot(node)).toEqual(before)
    },
  )
})

describe("SIGCHLD that whoever started the plugin ignores or blocks", () => {
  test.each([
    ["ignored", "$SIG{CHLD} = 'IGNORE'"],
    ["blocked", "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGCHLD))"],
  ])("does not keep a foreign IPAM's answer from %s bridge: ADD and DEL succeed", (_, perl) => {
    using node = new Node()
    const calls = join(node.dir, "calls")
    const answer = JSON.stringify({ cniVersion: "1.1.0", ips: [{ address: "10.1.2.3/24" }] })
    const path = install(node, "bin", `cat >/dev/null; echo $CNI_COMMAND >> ${calls}; echo '${answer}'`)
    const { config } = new Network(node, { ipam: { type: "foreign" } })
    const netns = node.pod()
    const argv = ["perl", "-MPOSIX", "-e", `${perl}; exec @ARGV or die $!`, join(binDirectory(), "bridge")]
    for (const command of ["ADD", "DEL"]) {
      const variables = environment({ command, netns, path, env })
      const done = outcome(run(node.inside(argv), { env: variables, stdin: JSON.stringify(config) }))
      expect(done).toMatchObject({ exitCode: 0, stderr: "" })
    }
    expect([readFileSync(calls, "utf8"), netns.link("eth0")]).toEqual(["ADD\nDEL\n", undefined])
  })
})

describe("an IPAM plugin of others of whose ADD nobody knows if it gave an address is told to DEL it:", () => {
  test.each([
    ["it hangs", "sleep 1000", 11],
    ["it is killed", "kill -9 $$", 105],
    ["it answers nonsense", "echo nonsense", 105],
    ["it answers nothing", "true", 105],
    ["its answer ends too early", "echo '{\"ips\": ['", 105],
    ["it says more than there is room for", "head -c 5000000 /dev/zero", 101],
  ])("%s", (_, script, code) => {
    using node = new Node()
    const calls = join(node.dir, "calls")
    const act = `cat >/dev/null; echo $CNI_COMMAND >> ${calls}; [ $CNI_COMMAND = DEL ] || { ${script}; }`
    const path = install(node, "bin", act)
    const network = new Network(node, { ipam: { type: "foreign" } })
    const netns = node.pod()
    const { files: _files, ...before } = snapshot(node)
    const { error } = node.call("bridge", { command: "ADD", netns, path, env, config: network.config })
    expect([error?.code, readFileSync(calls, "utf8")]).toEqual([code, "ADD\nDEL\n"])
    const { files: _more, ...after } = snapshot(node)
    expect(after).toEqual(before)
  })
})

describe("a delegated plugin of others that hangs", () => {
  test.each(VERBS)("is killed with all that it started, and %s is code 11", (command) => {
    using node = new Node()
    const path = install(node, "bin", "sleep 1000 & sleep 1000")
    const network = new Network(node, { ipam: { type: "foreign" } })
    const netns = node.pod()
    const before = snapshot(node)
    const { error } = node.call("bridge", { command, netns, path, env, config: network.config })
    expect(error).toMatchObject({ code: 11, msg: `${path}/foreign ${command} did not end within 1 seconds` })
    expect(node.processes()).toEqual([])
    expect(snapshot(node)).toEqual(before)
  })

  test("is killed in time also if it has closed its stdout and stderr", () => {
    using node = new Node()
    const path = install(node, "bin", "exec >&- 2>&-; sleep 1000")
    const network = new Network(node, { ipam: { type: "foreign" } })
    const { error } = node.call("bridge", { command: "DEL", netns: node.pod(), path, env, config: network.config })
    expect(error).toMatchObject({ code: 11, msg: `${path}/foreign DEL did not end within 1 seconds` })
    expect(node.processes()).toEqual([])
  })
})
