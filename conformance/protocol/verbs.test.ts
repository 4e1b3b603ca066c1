import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { environment, type Outcome, outcome, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { snapshot } from "../lab/snapshot.ts"

const plugins = ["bridge", "host-local", "loopback"] as const
const supported = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
const config = { cniVersion: "1.1.0", name: "net" }

/** The error document, after making sure that it is all the plugin said and that it came with exit code 1. */
function refusal({ exitCode, stdout, stderr }: Outcome): {
  code: number
  msg: string
  details?: string
  cniVersion?: string
} {
  expect(exitCode).toBe(1)
  expect(stderr).toBe("")
  const document = JSON.parse(stdout)
  const { cniVersion, code, msg, details } = document
  expect(document).toEqual({ cniVersion, code, msg, details })
  expect(Number.isInteger(code) && code > 0).toBe(true)
  expect(msg).toMatch(/\S/)
  expect(`${msg}${details ?? ""}`).not.toMatch(/\n\s*at |\.ts:\d|\bundefined\b|\[object/)
  expect(code, msg).not.toBe(999)
  return document
}

/** Runs the plugin with its file descriptors bent by the shell: `redirect("bridge", call, ">/dev/full")`. */
function redirected(node: Node, plugin: string, call: Parameters<Node["call"]>[1], redirection: string): Outcome {
  const program = join(binDirectory(), plugin)
  const stdin = call.stdin ?? JSON.stringify(call.config ?? "")
  return outcome(run(node.inside(["sh", "-c", `exec "$0" ${redirection}`, program]), { env: environment(call), stdin }))
}

describe.each(plugins)("%s", (plugin) => {
  test("introduces itself on stderr when there is no command, whatever else it is given", () => {
    using node = new Node()
    for (const env of [{ CNI_COMMAND: undefined }, { CNI_COMMAND: "", CNI_CONTAINERID: "%%", CNI_PATH: "" }]) {
      const { exitCode, stdout, stderr } = node.call(plugin, { command: "", stdin: "nonsense", env })
      expect([exitCode, stdout]).toEqual([0, ""])
      const [about, versions, ...rest] = stderr.split("\n")
      expect(about).toMatch(new RegExp(`^CNI ${plugin} plugin v1\\.9\\.1\\+cni-ts\\.\\d+\\.\\d+\\.\\d+$`))
      expect(versions).toBe(`CNI protocol versions supported: ${supported.join(", ")}`)
      expect(rest).toEqual([""])
    }
  })

  test("answers VERSION in one line, with nothing but CNI_COMMAND", () => {
    using node = new Node()
    const { exitCode, stdout, stderr } = node.call(plugin, {
      command: "VERSION",
      stdin: "nonsense",
      env: { CNI_PATH: undefined, CNI_CONTAINERID: "%%", CNI_IFNAME: "a/b" },
    })
    expect([exitCode, stderr]).toEqual([0, ""])
    expect(stdout).toBe(`${JSON.stringify({ cniVersion: "1.1.0", supportedVersions: supported })}\n`)
  })

  test("answers VERSION without touching stdin", () => {
    using node = new Node()
    for (const redirection of ["</", "<&-"]) {
      expect(redirected(node, plugin, { command: "VERSION" }, redirection).result?.supportedVersions).toEqual(supported)
    }
  })

  test.each([
    ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"],
    ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"],
    ["GC", "CNI_PATH"],
    ["STATUS", "CNI_PATH"],
  ])("names all that is missing for %s at once, before it looks at stdin", (command, names) => {
    using node = new Node()
    const env = { CNI_CONTAINERID: undefined, CNI_NETNS: "", CNI_IFNAME: undefined, CNI_PATH: undefined }
    const { code, msg } = refusal(node.call(plugin, { command, env, stdin: "nonsense" }))
    expect([code, msg]).toEqual([4, `required env variables [${names}] missing`])
  })

  test.each([
    ["CNI_CONTAINERID", "some-%%id", /CNI_CONTAINERID/],
    ["CNI_CONTAINERID", "../escape", /CNI_CONTAINERID/],
    ["CNI_IFNAME", "abcdefghijklmnop", /too long/],
    ["CNI_IFNAME", ".", /is \. or \.\./],
    ["CNI_IFNAME", "..", /is \. or \.\./],
    ["CNI_IFNAME", "a/b", /contains \/ or : or whitespace/],
    ["CNI_IFNAME", "a:b", /contains \/ or : or whitespace/],
    ["CNI_IFNAME", "a b", /contains \/ or : or whitespace/],
    ["CNI_IFNAME", "eth%d", /contains %/],
  ])("refuses %s=%s before it reports what is missing", (variable, value, message) => {
    using node = new Node()
    for (const command of ["ADD", "DEL", "CHECK"]) {
      const { code, msg, details } = refusal(node.call(plugin, { command, env: { [variable]: value, CNI_PATH: "" } }))
      expect([code, details]).toEqual([4, expect.stringContaining(JSON.stringify(value))])
      expect(msg).toMatch(message)
    }
  })

  test("refuses a command it does not know, but only after the config was found good", () => {
    using node = new Node()
    for (const command of ["PROBE", "add", "ADD ", "VERSIONS"]) {
      expect(refusal(node.call(plugin, { command, config }))).toMatchObject({
        code: 4,
        msg: `unknown CNI_COMMAND: ${command}`,
      })
      expect(refusal(node.call(plugin, { command, config: {} })).code).toBe(7)
      expect(refusal(node.call(plugin, { command, stdin: "nonsense" })).code).toBe(6)
    }
  })

  test.each([
    ["CHECK", "0.3.1", 1, "config version does not allow CHECK"],
    ["CHECK", undefined, 1, "config version does not allow CHECK"],
    ["GC", "1.0.0", 1, "config version does not allow GC"],
    ["STATUS", "1.0.0", 1, "config version does not allow STATUS"],
    ["CHECK", "1.1.1", 1, "plugin version does not allow CHECK"],
    ["GC", "2.0.0", 1, "plugin version does not allow GC"],
    ["STATUS", "1.2", 1, "plugin version does not allow STATUS"],
    ["CHECK", "0.4.5", 1, "incompatible CNI versions"],
    ["ADD", "1.0", 1, "incompatible CNI versions"],
    ["DEL", "9.9.9", 1, "incompatible CNI versions"],
    ["ADD", "1.2.3.4.5", 1, "incompatible CNI versions"],
    ["CHECK", "1.2.3.4.5", 6, 'cannot decode cniVersion: "1.2.3.4.5" is not a version'],
    ["GC", "..", 6, 'cannot decode cniVersion: ".." is not a version'],
    ["STATUS", "0.", 6, 'cannot decode cniVersion: "0." is not a version'],
  ])("refuses %s at version %s with code %i", (command, cniVersion, code, msg) => {
    using node = new Node()
    const error = refusal(node.call(plugin, { command, netns: node.pod(), config: { name: "net", cniVersion } }))
    expect(error).toMatchObject({ code, msg })
    expect(error.cniVersion).toBe(cniVersion)
    if (msg === "incompatible CNI versions") {
      const list = supported.map((version) => JSON.stringify(version)).join(" ")
      expect(error.details).toBe(`config is "${cniVersion}", plugin supports [${list}]`)
    }
  })

  const megabytes = 10 << 20
  test.each<[string, string | Uint8Array, number]>([
    ["nothing", "", 6],
    ["blanks", " \n", 6],
    ["no JSON", "nonsense", 6],
    ["a list", "[]", 6],
    ["null", "null", 6],
    ["a text", '"net"', 6],
    ["half a document", '{"cniVersion":"1.1.0","name":"net"', 6],
    ["two documents", '{"name":"net"}{"name":"net"}', 6],
    ["a NUL at the end", '{"name":"net"}\0', 6],
    ["a NUL in a text", '{"name":"n\0t"}', 6],
    ["an escaped NUL in the name", '{"name":"n\\u0000t"}', 7],
    ["invalid UTF-8 in the name", Uint8Array.of(...new TextEncoder().encode('{"name":"n'), 0xff, 0x22, 0x7d), 7],
    ["half a surrogate pair in the name", '{"name":"n\\ud800"}', 7],
    ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x7b, 0, 0x7d, 0), 6],
    ["ten megabytes of blanks", " ".repeat(megabytes), 6],
    ["ten megabytes of [", "[".repeat(megabytes), 6],
    ['ten megabytes of {"a":', '{"a":'.repeat(megabytes / 5), 6],
    ["a name of ten megabytes with a blank in it", `{"name":"${"n".repeat(megabytes)} "}`, 7],
    ["a number as name", '{"name":1}', 6],
    ["a list as version", '{"name":"net","cniVersion":["1.1.0"]}', 6],
    ["no name", '{"cniVersion":"1.1.0"}', 7],
    ["an empty name", '{"name":""}', 7],
    ["null as name", '{"name":null}', 7],
    ["a name with bad characters", '{"name":"some-%%name"}', 7],
    ["a name that is a path", '{"name":"../net"}', 7],
  ])("given %s on stdin answers with one error document", (_, stdin, code) => {
    using node = new Node()
    for (const command of ["ADD", "STATUS"]) {
      expect(refusal(node.call(plugin, { command, netns: "/run/netns/none", stdin })).code).toBe(code)
    }
  })

  test("reports a stdin that cannot be read with code 5", () => {
    using node = new Node()
    expect(refusal(redirected(node, plugin, { command: "ADD", netns: "/run/netns/none" }, "</")).code).toBe(5)
  })

  test("accepts ten megabytes that it does not need", () => {
    using node = new Node()
    const ipam = { type: "host-local", dataDir: join(node.dir, "ipam"), subnet: "10.9.0.0/24" }
    const more = { ...config, ipam, labels: Array.from({ length: 100_000 }, () => "x".repeat(100)) }
    const { exitCode, stdout, stderr } = node.call(plugin, { command: "DEL", netns: "", config: more })
    expect([exitCode, stdout, stderr]).toEqual([0, "", ""])
  })

  test("refuses to work on its own network namespace, before it has done anything", () => {
    using node = new Node()
    const before = snapshot(node)
    for (const command of ["ADD", "DEL"]) {
      const error = refusal(node.call(plugin, { command, netns: node.path, config }))
      expect(error).toMatchObject({
        code: 8,
        msg: "plugin's netns and netns from CNI_NETNS should not be the same",
      })
    }
    expect(snapshot(node)).toEqual(before)
  })

  test("refuses to work on a network namespace that may be its own, for it cannot be examined", () => {
    using node = new Node()
    const argv = ["strace", "-qq", "-o", "/dev/null", "-P", node.path, "-e", "trace=%stat"]
    for (const command of ["ADD", "DEL"]) {
      const call = { command, netns: node.path, config }
      const program = [...argv, "-e", "inject=%stat:error=ENOMEM", join(binDirectory(), plugin)]
      const finished = run(node.inside(program), { env: environment(call), stdin: stdin(call) })
      expect(refusal(outcome(finished))).toMatchObject({ code: 101, msg: expect.stringContaining(node.path) })
    }
  })

  test("prints one document and no stack trace, whatever it is called with", { timeout: 600_000 }, async () => {
    using node = new Node()
    const pod = node.pod()
    const odd = fc.oneof(
      fc.constant("1.1.0"),
      fc.constant("0.4.0"),
      fc.string(),
      fc.double(),
      fc.bigInt().map(Number),
      fc.constant(null),
      fc.constant([]),
      fc.constant({}),
    )
    const key = fc.constantFrom(
      "cniVersion",
      "type",
      "bridge",
      "mtu",
      "vlan",
      "isGateway",
      "ipam",
      "prevResult",
      "runtimeConfig",
      "dns",
      "args",
      "cni.dev/valid-attachments",
    )
    const document = fc.dictionary(key, fc.oneof(odd, fc.jsonValue({ maxDepth: 3 })), { noNullPrototype: true })
    const call = fc.record({
      command: fc.constantFrom("ADD", "DEL", "CHECK", "GC", "STATUS"),
      args: fc.oneof(fc.constant(undefined), fc.stringMatching(/^[A-Za-z0-9=;.: ]{0,20}$/)),
      extra: document,
    })
    await fc.assert(
      fc.asyncProperty(call, async ({ command, args, extra }) => {
        const asked = { command, args, netns: pod, config: { ...config, ...extra }, ownVarLib: true }
        const answer = await node.callAsync(plugin, asked)
        if (answer.exitCode !== 0) refusal(answer)
        else if (command === "ADD")
          expect(answer).toMatchObject({ stderr: "", result: { cniVersion: expect.any(String) } })
        else expect(answer).toMatchObject({ stdout: "", ...(command !== "GC" && { stderr: "" }) })
      }),
      { numRuns: 60 },
    )
  })
})

describe("bridge", () => {
  test.each([
    ["mtu", "1500.0", 6],
    ["mtu", "1e3", 6],
    ["mtu", "1e400", 6],
    ["mtu", '"1500"', 6],
    ["mtu", "-1", 7],
    ["mtu", "18446744073709551616", 7],
    ["mtu", `1${"0".repeat(100)}`, 7],
    ["vlan", "4095", 7],
    ["vlan", "-1", 7],
    ["isGateway", '"true"', 6],
    ["isGateway", "1", 6],
    ["bridge", "7", 6],
    ["bridge", '"a/b"', 7],
    ["bridge", '"cni%d"', 7],
    ["ipam", '"host-local"', 6],
    ["ipam", '{"type":5}', 6],
    ["ipam", '{"type":"../host-local"}', 7],
    ["dns", "[]", 6],
  ])("refuses %s %s with its path, and does nothing", (key, value, code) => {
    using node = new Node()
    const netns = node.pod()
    const before = snapshot(node)
    const stdin = `{"cniVersion":"1.1.0","name":"net",${JSON.stringify(key)}:${value}}`
    const error = refusal(node.call("bridge", { command: "ADD", netns, stdin }))
    expect(error.code).toBe(code)
    expect(error.msg.length).toBeLessThan(300)
    if (key !== "ipam" || value.includes("5") || value.startsWith('"')) expect(error.msg).toContain(key)
    expect(snapshot(node)).toEqual(before)
  })

  test("takes an ADD back whose result nobody can read", () => {
    using node = new Node()
    const netns = node.pod()
    const ipam = { type: "host-local", dataDir: join(node.dir, "ipam"), subnet: "10.9.0.0/24" }
    const call = { command: "ADD", netns, config: { ...config, ipam } }
    const { exitCode, stdout, stderr } = redirected(node, "bridge", call, ">/dev/full")
    expect([exitCode, stdout]).toEqual([1, ""])
    expect(stderr).toMatch(/^cannot write stdout: ENOSPC.*\n$/)
    expect(netns.link("eth0")).toBeUndefined()
    expect(node.ip("link", "show", "type", "veth")).toEqual([])
    expect(node.run("ls", join(node.dir, "ipam/net")).stdout).not.toContain("10.9.0.")
  })

  test("takes an ADD back when the reader of its result is gone", () => {
    using node = new Node()
    const netns = node.pod()
    const pipe = join(node.dir, "pipe")
    run(["mkfifo", pipe])
    const { exitCode, stderr } = redirected(
      node,
      "bridge",
      { command: "ADD", netns, config },
      `4<>${pipe} >${pipe} 4>&-`,
    )
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^cannot write stdout: EPIPE.*\n$/)
    expect(netns.link("eth0")).toBeUndefined()
    expect(node.ip("link", "show", "type", "veth")).toEqual([])
  })

  test.each(["0.1.0", "0.2.0"])("refuses %s without IPAM before it has done anything", (cniVersion) => {
    using node = new Node()
    const netns = node.pod()
    const before = snapshot(node)
    const error = refusal(node.call("bridge", { command: "ADD", netns, config: { ...config, cniVersion } }))
    expect(error).toMatchObject({ code: 1, cniVersion })
    expect(error.msg).toContain("no valid IP addresses")
    expect(snapshot(node)).toEqual(before)
  })
})
