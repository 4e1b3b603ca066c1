import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Node } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { hostLocal, Network } from "../plugins/bridge/network.ts"

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

function lines(file: string): Record<string, unknown>[] {
  const text = readFileSync(file, "utf8").split("\n")
  expect(text.pop()).toBe("")
  return text.map((line) => JSON.parse(line))
}

describe("the log", () => {
  test("has one line for each call in the file that the environment names", () => {
    using node = new Node()
    const network = new Network(node, { ipam: hostLocal(node) })
    const [file, netns] = [join(node.dir, "cni.log"), node.pod()]
    const env = { CNI_TS_LOG: file, TRACEPARENT: `00-${TRACE}-00f067aa0ba902b7-01` }
    const args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1"
    const added = network.ask("ADD", netns, { env, args })
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    const again = network.ask("ADD", netns, { env, args })
    network.ask("DEL", netns, { env })
    network.ask("GC", undefined, { env })
    network.ask("VERSION", undefined, { env })
    const about = { plugin: "bridge", network: "net", containerId: netns.containerId, ifname: "eth0", traceId: TRACE }
    const phase = expect.any(Number)
    expect(lines(file)).toEqual([
      expect.objectContaining({ ...about, verb: "ADD", netns: netns.path, pod: "web-1", namespace: "shop", ms: phase }),
      expect.objectContaining({
        ...about,
        verb: "ADD",
        error: again.error && { code: 102, msg: again.error.msg, details: again.error.details },
      }),
      expect.objectContaining({
        ...about,
        verb: "DEL",
        phases: { start: phase, input: phase, ipam: phase, plugin: phase },
      }),
      expect.objectContaining({ plugin: "bridge", network: "net", verb: "GC" }),
    ])
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test("goes where the configuration says rather than the environment, and names what was removed", () => {
    using node = new Node()
    const [file, other] = [join(node.dir, "cni.log"), join(node.dir, "other.log")]
    const network = new Network(node, { ipam: hostLocal(node), cniTsLog: file })
    network.ask("ADD", node.pod(), { env: { CNI_TS_LOG: other } })
    const { stderr } = network.gc([], { env: { CNI_TS_LOG: other } })
    expect(existsSync(other)).toBe(false)
    const [, gc] = lines(file)
    const removed = gc?.["removed"] as string[]
    expect(removed.map((what) => `cni-ts bridge: removed ${what}\n`).join("")).toBe(stderr)
    expect(removed).toHaveLength(2)
  })

  test("speaks of a configuration that cannot be read, where the environment says", () => {
    using node = new Node()
    const file = join(node.dir, "cni.log")
    node.call("bridge", { command: "ADD", netns: node.pod(), stdin: "{", env: { CNI_TS_LOG: file } })
    expect(lines(file)).toMatchObject([{ verb: "ADD", error: { code: 6 } }])
    expect(lines(file)[0]).not.toHaveProperty("network")
  })

  test("stays whole when many calls write at once", async () => {
    using node = new Node()
    const file = join(node.dir, "cni.log")
    const config = { cniVersion: "1.1.0", name: "net", type: "host-local", ipam: hostLocal(node), cniTsLog: file }
    const ids = Array.from({ length: 20 }, (_, index) => `c${index}`)
    const calls = ids.map((containerId) =>
      node.callAsync("host-local", { command: "ADD", containerId, netns: "/run/netns/none", config }),
    )
    expect((await Promise.all(calls)).map(({ exitCode }) => exitCode)).toEqual(ids.map(() => 0))
    expect(
      lines(file)
        .map((line) => line["containerId"])
        .sort(),
    ).toEqual(ids.sort())
  })

  test("reaches the journal's socket", async () => {
    using node = new Node()
    const socket = join(node.dir, "journal")
    const script = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("ready", flush=True)
for _ in range(2): print(s.recv(65536).decode(), end="", flush=True)`
    const journal = spawn("python3", ["-c", script, socket], { stdio: ["ignore", "pipe", "inherit"] })
    const ended = once(journal, "close")
    let text = ""
    journal.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part
    })
    try {
      await once(journal.stdout, "data")
      const network = new Network(node, { cniTsLog: `journald:${socket}` })
      network.ask("ADD", node.pod())
      network.ask("ADD", "/run/netns/none")
      await ended
    } finally {
      journal.kill("SIGKILL")
    }
    const [, first = "", ...rest] = text.split("\n")
    expect(JSON.parse(first.replace(/^MESSAGE=/, ""))).toMatchObject({ verb: "ADD", network: "net" })
    expect(rest.filter((line) => !line.startsWith("MESSAGE="))).toEqual([
      "PRIORITY=6",
      "SYSLOG_IDENTIFIER=cni-ts",
      "PRIORITY=3",
      "SYSLOG_IDENTIFIER=cni-ts",
      "",
    ])
  })

  test.each([
    ["a directory", (path: string) => mkdirSync(path)],
    ["a pipe that nobody reads", (path: string) => output(["mkfifo", path])],
    ["in a directory that is missing", () => undefined, "/missing/x"],
    ["full", () => undefined, "/dev/full"],
    ["a symbolic link, which is not followed", (path: string) => symlinkSync("target", path)],
    ["a relative path", () => undefined, "relative.log"],
    ["a journal that does not run", () => undefined, "journald:/missing/socket"],
    ["a text with a NUL", () => undefined, "/x\0y"],
    ["longer than a socket's name may be", () => undefined, `journald:/${"x".repeat(300)}`],
    ["no text", () => undefined, 5],
  ])("that is %s never fails a call", (_, prepare, cniTsLog?: unknown) => {
    using node = new Node()
    const path = join(node.dir, "log")
    prepare(path)
    const network = new Network(node, { cniTsLog: cniTsLog ?? path })
    expect(network.ask("ADD", node.pod())).toMatchObject({ exitCode: 0, stderr: "" })
    expect(existsSync(join(node.dir, "target"))).toBe(false)
  })

  test("keeps what a file already says", () => {
    using node = new Node()
    const file = join(node.dir, "cni.log")
    writeFileSync(file, '{"before":true}\n', { mode: 0o640 })
    new Network(node, { cniTsLog: file }).ask("ADD", node.pod())
    expect(lines(file)).toHaveLength(2)
  })
})
