import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node } from "../lab/node.ts"
import { BASH, output, run } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"

const bridged = (type: string, cniVersion = "1.1.0") => ({ cniVersion, name: "net", type: "bridge", ipam: { type } })
const answer = (result: object) => `cat >/dev/null; [ "$CNI_COMMAND" != ADD ] || echo '${JSON.stringify(result)}'`
const COPY_BY_TAR = 'mkdir "$1" && tar -C "$0" --hard-dereference -c . | tar -C "$1" -x'
const address = { ips: [{ address: "10.9.0.2/24" }] }

describe("a foreign IPAM plugin", () => {
  test("gets the environment and stdin that bridge got, byte for byte, with the command it is asked for", () => {
    using node = new Node()
    const log = join(node.dir, "log")
    const script = `env | sort > ${log}.$CNI_COMMAND.env; cat > ${log}.$CNI_COMMAND.stdin; readlink /proc/self/ns/net > ${log}.netns; ${answer(address)}`
    const path = `${install(node, "bin", script)}:${binDirectory()}`
    const netns = node.pod()
    const env = { UNRELATED: "kept as it is", CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=web" }
    const stdin = `{ "cniVersion":"1.1.0",\n "name":"net", "type":"bridge", "big": 1.0e2, "ipam":{"type":"foreign"} }\n`
    expect(node.call("bridge", { command: "ADD", netns, path, env, stdin })).toMatchObject({ exitCode: 0, stderr: "" })
    expect(node.call("bridge", { command: "DEL", netns, path, env, stdin })).toMatchObject({ exitCode: 0, stdout: "" })
    for (const command of ["ADD", "DEL"]) {
      expect(readFileSync(`${log}.${command}.stdin`, "utf8")).toBe(stdin)
      const seen = readFileSync(`${log}.${command}.env`, "utf8").split("\n")
      expect(seen).toEqual(
        expect.arrayContaining([`CNI_COMMAND=${command}`, "UNRELATED=kept as it is", `CNI_PATH=${path}`]),
      )
      expect(seen).toEqual(
        expect.arrayContaining([`CNI_NETNS=${netns.path}`, "CNI_IFNAME=eth0", `CNI_ARGS=${env.CNI_ARGS}`]),
      )
    }
    expect(readFileSync(`${log}.netns`, "utf8")).toBe(node.run("readlink", "/proc/self/ns/net").stdout)
  })

  test("is the first regular file of its name in CNI_PATH", () => {
    using node = new Node()
    mkdirSync(join(node.dir, "a/foreign"), { recursive: true })
    const b = install(node, "b", answer({ ips: [{ address: "10.9.0.22/24" }] }))
    const c = install(node, "c", answer({ ips: [{ address: "10.9.0.33/24" }] }))
    const call = { command: "ADD", netns: node.pod(), config: bridged("foreign") }
    const { result } = node.call("bridge", { ...call, path: `/nonexistent:${join(node.dir, "a")}:${b}:${c}` })
    expect(result?.ips?.map((ip) => ip.address)).toEqual(["10.9.0.22/24"])
  })

  test("that could not be looked for is not called missing, and is found behind a directory that cannot be read", () => {
    using node = new Node()
    const foreign = install(node, "b", answer(address))
    const call = { command: "ADD", netns: node.pod(), config: bridged("foreign") }
    const add = (path: string, broken: string) => {
      const file = join(broken, "foreign")
      const argv = ["strace", "-qq", "-o", "/dev/null", "-P", file, "-e", "trace=statx", "-e", "inject=statx:error=EIO"]
      const finished = run(node.inside([...argv, join(binDirectory(), "bridge")]), {
        env: environment({ ...call, path }),
        stdin: stdin(call),
      })
      return outcome(finished)
    }
    const msg = `cannot examine ${foreign}/foreign: EIO (input/output error)`
    expect(add(foreign, foreign).error).toMatchObject({ code: 101, msg })
    expect(add(`${node.dir}/a:${foreign}`, join(node.dir, "a")).exitCode).toBe(0)
  })

  test("of our own name is run when it comes first in CNI_PATH", () => {
    using node = new Node()
    const path = `${install(node, "bin", answer(address), "host-local")}:${binDirectory()}`
    const { result } = node.call("bridge", { command: "ADD", netns: node.pod(), path, config: bridged("host-local") })
    expect(result?.ips?.map((ip) => ip.address)).toEqual(["10.9.0.2/24"])
  })

  test.each([
    ["", undefined],
    ["../bin/foreign", /invalid plugin name/],
    ["/bin/sh", /invalid plugin name/],
    ["absent", /failed to find plugin "absent" in path \[.*\/bin\]/],
  ])("called %j is not run", (type, message) => {
    using node = new Node()
    const path = install(node, "bin", `touch ${join(node.dir, "ran")}`)
    const netns = node.pod()
    const before = snapshot(node)
    const { exitCode, error, result } = node.call("bridge", { command: "ADD", netns, path, config: bridged(type) })
    expect(existsSync(join(node.dir, "ran"))).toBe(false)
    if (!message) {
      expect([exitCode, result?.ips]).toEqual([0, undefined])
    } else {
      expect(error?.msg).toMatch(message)
      expect(snapshot(node)).toEqual(before)
    }
  })

  test("speaks through when it fails: code, message and details are its own, and nothing is left", () => {
    using node = new Node()
    const failure = JSON.stringify({ cniVersion: "1.1.0", code: 117, msg: "no <lease>", details: "ask again" })
    const path = install(node, "bin", `cat >/dev/null; echo '${failure}'; exit 1`)
    const netns = node.pod()
    const before = snapshot(node)
    for (const command of ["ADD", "CHECK", "DEL", "GC", "STATUS"]) {
      const { error } = node.call("bridge", { command, netns, path, config: bridged("foreign") })
      if (command !== "CHECK") expect(error).toMatchObject({ code: 117, msg: "no <lease>", details: "ask again" })
      else expect(error?.code).toBeGreaterThan(0)
    }
    expect(snapshot(node)).toEqual(before)
  })

  test.each([
    ["nothing", "echo gone wrong >&2; exit 3", /gone wrong/],
    ["nothing at all", "exit 3", /no error message/],
    ["no JSON", "echo nonsense; exit 1", /cannot decode the answer/],
    ["no object", "echo '[]'; exit 1", /no JSON object/],
    ["a result, and fails", `${answer(address)}; exit 1`, /failed with code 105 and no message/],
    ["an error without a message", `echo '{"code": 7, "msg": ""}'; exit 1`, /failed with code 7 and no message/],
    ["no JSON after success", "echo nonsense", /gave no usable result/],
    ["a result without address text", `echo '{"ips":[{"address":7}]}'`, /ips\[0\]\.address/],
  ])("that answers with %s makes ADD fail in a document of ours", (_, script, message) => {
    using node = new Node()
    const path = install(node, "bin", `cat >/dev/null; ${script}`)
    const { exitCode, error } = node.call("bridge", {
      command: "ADD",
      netns: node.pod(),
      path,
      config: bridged("foreign"),
    })
    expect(exitCode).toBe(1)
    expect(error?.msg).toMatch(message)
    expect(error?.code).not.toBe(999)
    expect(node.ip("link", "show", "type", "veth")).toEqual([])
  })

  test.each(["echo nonsense", "true", `echo '{"ips":[]}{"ips":[]}'`, "echo []", `echo '{"ips":[{"address":"here"}]}'`])(
    "that gave an address and says so in words nobody understands (%s) is asked to release it",
    (script) => {
      using node = new Node()
      const log = join(node.dir, "log")
      const path = install(node, "bin", `cat >/dev/null; echo $CNI_COMMAND >> ${log}; ${script}`)
      const call = { command: "ADD", netns: node.pod(), path, config: bridged("foreign") }
      expect(node.call("bridge", call)).toMatchObject({ exitCode: 1, error: { code: 105 } })
      expect(readFileSync(log, "utf8")).toBe("ADD\nDEL\n")
    },
  )

  test("is heard on stderr where it succeeds", () => {
    using node = new Node()
    const path = install(node, "bin", `echo nearly full >&2; ${answer(address)}`)
    const call = { command: "ADD", netns: node.pod(), path, config: bridged("foreign") }
    expect(node.call("bridge", call)).toMatchObject({ exitCode: 0, stderr: "nearly full\n" })
  })

  test("that is killed makes ADD fail, and the signal is named", () => {
    using node = new Node()
    const path = install(node, "bin", "kill -9 $$")
    const call = { command: "ADD", netns: node.pod(), path, config: bridged("foreign") }
    expect(node.call("bridge", call).error).toMatchObject({
      code: 105,
      details: expect.stringContaining("killed by SIGKILL"),
    })
  })

  test("that cannot be started is named, and is no fault of ours", () => {
    using node = new Node()
    const path = install(node, "bin", "")
    chmodSync(join(path, "foreign"), 0o644)
    const { error } = node.call("bridge", { command: "ADD", netns: node.pod(), path, config: bridged("foreign") })
    expect(error).toMatchObject({ code: 101, msg: `cannot start ${path}/foreign: EACCES (permission denied)` })
  })

  test.each([
    ["0.2.0", { ip4: { ip: "10.9.0.2/24" } }],
    ["0.4.0", { ips: [{ version: "4", address: "10.9.0.2/24" }] }],
    ["1.1.0", { cniVersion: "", ips: [{ address: "10.9.0.2/24" }] }],
  ])("whose result names no version answers in the config's, %s", (cniVersion, result) => {
    using node = new Node()
    const path = install(node, "bin", answer(result))
    const netns = node.pod()
    const { exitCode } = node.call("bridge", { command: "ADD", netns, path, config: bridged("foreign", cniVersion) })
    expect(exitCode).toBe(0)
    expect(netns.addresses("eth0")).toEqual(["10.9.0.2/24"])
  })
})

test.each(["CHECK", "DEL", "GC", "STATUS"])("a plugin that is named as its own IPAM is not called by %s", (command) => {
  using node = new Node()
  const netns = node.pod()
  const { error } = node.call("bridge", { command, netns, config: bridged("bridge") })
  expect(error?.msg).toContain("ipam.type: bridge gives no addresses")
})

describe("host-local of the same build is not executed: bridge has it too", () => {
  test.each([
    ["hard links, as built", 'cp -a "$0" "$1"'],
    ["files of their own, as cp -r and COPY in a Dockerfile leave them", 'cp -r "$0" "$1"'],
    ["files of their own, unpacked from a tar that knows no hard links", COPY_BY_TAR],
    ["symbolic links", 'mkdir "$1" && ln -s "$0"/* "$1"'],
  ])("%s", (_, copy) => {
    using node = new Node()
    const path = join(node.dir, "bin")
    output([...BASH, copy, binDirectory(), path])
    const { outcome, programs } = traceAdd(node, path)
    expect(outcome).toMatchObject({ exitCode: 0, stderr: "", result: address })
    expect(programs).toEqual([join(binDirectory(), "bridge")])
  })
})

describe("host-local that may be another is executed", () => {
  const ours = join(binDirectory(), "host-local")
  test.each<[string, (path: string) => void]>([
    ["the Go plugin", (path) => copyFileSync(join(binDirectory("reference"), "host-local"), path)],
    ["one of another build", (path) => writeFileSync(path, ofAnotherBuild(readFileSync(ours)), { mode: 0o755 })],
    [
      "one that lacks its last byte",
      (path) => {
        copyFileSync(ours, path)
        truncateSync(path, readFileSync(ours).length - 1)
      },
    ],
  ])("%s", (_, make) => {
    using node = new Node()
    const path = join(node.dir, "bin")
    mkdirSync(path)
    make(join(path, "host-local"))
    const { outcome, programs } = traceAdd(node, path)
    expect(outcome).toMatchObject({ exitCode: 0, stderr: "", result: address })
    expect(programs).toEqual([join(binDirectory(), "bridge"), join(path, "host-local")])
  })
})

function traceAdd(node: Node, path: string) {
  const ipam = { type: "host-local", dataDir: join(node.dir, "leases"), ranges: [[{ subnet: "10.9.0.0/24" }]] }
  const config = { ...bridged("host-local"), ipam }
  return node.trace("bridge", { command: "ADD", netns: node.pod(), path, config }, "execve")
}

/** Executables end with a digest of what they were made from: here, of something else. */
function ofAnotherBuild(executable: Buffer): Buffer {
  const last = executable.length - 1
  executable[last] = "0123456789abcdef".charCodeAt(
    (Number.parseInt(String.fromCharCode(executable[last] ?? 0), 16) + 1) % 16,
  )
  return executable
}
