import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { PLUGINS } from "../executable/every-plugin.ts"
import { type Call, environment, outcome, type Result, stdin } from "../lab/call.ts"
import { binDirectory, type Implementation } from "../lab/executables.ts"
import { install } from "../lab/foreign.ts"
import { Node } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { parseTrace, type Trace } from "../lab/strace.ts"

/** execve(2) with the strings of a JSON list as environment, which no shell and no library would hand on if a name is in it twice. */
const EXECVE = `
import ctypes, json, sys
texts = [text.encode() for text in json.loads(sys.argv[2])]
array = ctypes.c_char_p * (len(texts) + 1)
path = sys.argv[1].encode()
ctypes.CDLL(None).execve(path, (ctypes.c_char_p * 2)(path, None), array(*texts, None))
sys.exit("execve failed")`

function start(node: Node, implementation: Implementation, entries: readonly string[], config: object) {
  const program = join(binDirectory(implementation), "host-local")
  const argv = ["/usr/bin/python3", "-c", EXECVE, program, JSON.stringify(entries)]
  return outcome(run(node.inside(argv), { env: {}, stdin: JSON.stringify(config) }))
}

describe.each(["ours", "reference"] as const)(
  "%s: of an environment variable that is given twice",
  (implementation) => {
    const config = (node: Node) => ({
      cniVersion: "1.1.0",
      name: "net",
      type: "host-local",
      ipam: { type: "host-local", subnet: "10.1.2.0/24", dataDir: join(node.dir, "ipam") },
    })
    const entries = (command: string, netns: string) =>
      Object.entries(environment({ command, netns, containerId: "c" })).map(([name, value]) => `${name}=${value}`)

    test("the first counts: CNI_COMMAND=ADD CNI_COMMAND=DEL adds", () => {
      using node = new Node()
      const given = entries("ADD", node.pod().path)
      const added = start(node, implementation, [...given, "CNI_COMMAND=DEL", "CNI_CONTAINERID=other"], config(node))
      expect(added).toMatchObject({ exitCode: 0, stderr: "", result: { ips: [{ address: "10.1.2.2/24" }] } })
      expect(readFileSync(join(node.dir, "ipam/net/10.1.2.2"), "utf8")).toBe("c\r\neth0")
      const removed = start(node, implementation, ["CNI_COMMAND=DEL", ...given], config(node))
      expect(removed).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    })

    test("the first counts also if it is empty", () => {
      using node = new Node()
      const given = entries("ADD", node.pod().path)
      const { error } = start(node, implementation, ["CNI_IFNAME=", ...given], config(node))
      expect(error).toMatchObject({ code: 4, msg: "required env variables [CNI_IFNAME] missing" })
    })
  },
)

test("of CNI_TS_NETLINK, too, the first counts: `1` and then `0` logs netlink messages", () => {
  using node = new Node()
  const log = join(node.dir, "log")
  const call = { ...environment({ command: "ADD", netns: node.pod() }), CNI_TS_LOG: log, CNI_TS_NETLINK: "1" }
  const given = [...Object.entries(call).map(([name, value]) => `${name}=${value}`), "CNI_TS_NETLINK=0"]
  const argv = ["/usr/bin/python3", "-c", EXECVE, join(binDirectory(), "bridge"), JSON.stringify(given)]
  const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "bridge" })
  expect(run(node.inside(argv), { env: {}, stdin })).toMatchObject({ exitCode: 0, stderr: "" })
  expect(readFileSync(log, "utf8")).toContain('"type":"RTM_NEWLINK"')
})

test("a delegate gets a variable that was given twice once, with the value that counted", () => {
  using node = new Node()
  const log = join(node.dir, "env")
  const path = install(node, "bin", `cat /proc/self/environ > ${log}; cat >/dev/null; echo '{}'`)
  const call = environment({ command: "STATUS", path })
  const given = [...Object.entries(call).map(([name, value]) => `${name}=${value}`), "CNI_PATH=/nowhere", "X=1", "X=2"]
  const program = join(binDirectory(), "bridge")
  const argv = ["/usr/bin/python3", "-c", EXECVE, program, JSON.stringify(given)]
  const stdin = JSON.stringify({ cniVersion: "1.1.0", name: "net", type: "bridge", ipam: { type: "foreign" } })
  expect(run(node.inside(argv), { env: {}, stdin })).toMatchObject({ exitCode: 0 })
  const seen = readFileSync(log, "utf8").split("\0")
  const named = (name: string) => seen.filter((entry) => entry.startsWith(`${name}=`))
  expect([named("X"), named("CNI_PATH")]).toEqual([["X=1"], [`CNI_PATH=${path}`]])
})

/**
 * Variables that a loader, a C library or a language's runtime looks at, this one's or another's; those of ours are read from the
 * executable, in which their names have to stand.
 */
const KNOWN = `
  LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_DEBUG LD_BIND_NOW LD_PROFILE LD_SHOW_AUXV GLIBC_TUNABLES MALLOC_ARENA_MAX MALLOC_PERTURB_
  GCONV_PATH LOCPATH MUSL_LOCPATH NLSPATH LANG LANGUAGE LC_ALL LC_CTYPE LC_MESSAGES LC_TIME LC_NUMERIC TZ TZDIR DATEMSK MSGVERB
  RESOLV_HOST_CONF RES_OPTIONS LOCALDOMAIN HOSTALIASES GETCONF_DIR NIS_PATH TMPDIR TMP TEMP HOME USER LOGNAME SHELL PWD OLDPWD PATH IFS ENV
  BASH_ENV POSIXLY_CORRECT TERM HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy SSL_CERT_FILE SSL_CERT_DIR
  QUICKJS QJS_PATH QJS_STD BUN_OPTIONS BUN_INSTALL BUN_JSC_useJIT BUN_CONFIG_VERBOSE_FETCH NODE_OPTIONS NODE_PATH NODE_DEBUG NODE_ENV DEBUG
  GODEBUG GOMAXPROCS GOGC GOTRACEBACK ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS
  NOTIFY_SOCKET JOURNAL_STREAM LISTEN_FDS LISTEN_PID INVOCATION_ID XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS
  XTABLES_LIBDIR XTABLES_LOCKFILE NETNS IPTABLES NFT_PATH KUBECONFIG`

/** Those that docs/security.md lists. */
const READ = /^(CNI_|TRACEPARENT$)/

/** A canary in each: the name of a file that is not there. */
function canaries(): Record<string, string> {
  const texts =
    readFileSync(join(binDirectory(), "bridge"), "latin1").match(/(?<![\w])[A-Z][A-Z0-9_]{3,30}(?=\0)/g) ?? []
  const names = [...new Set([...KNOWN.split(/\s+/), ...texts])].filter((name) => name !== "" && !READ.test(name))
  return Object.fromEntries(names.map((name) => [name, `/canary/${name}`]))
}

/** Calls the plugin with more variables, which strace itself does not see. */
function trace(node: Node, plugin: string, call: Call, variables: Readonly<Record<string, string>>): Trace {
  const file = join(node.dir, "strace.out")
  const more = Object.entries(variables).flatMap(([name, value]) => ["-E", `${name}=${value}`])
  const argv = node.inside(["strace", "-f", "-qq", "-s", "4096", "-o", file, ...more, join(binDirectory(), plugin)])
  const finished = run(argv, { env: environment(call), stdin: stdin(call) })
  return { outcome: outcome(finished), ...parseTrace(file) }
}

describe("no variable but those that docs/security.md lists is looked at", () => {
  test.each(Object.entries(PLUGINS))("by %s, whatever it is asked to do", (plugin, configOf) => {
    using node = new Node()
    const pod = node.pod()
    const config = { cniVersion: "1.1.0", name: "net", type: plugin, ...configOf(node, pod) }
    const variables = canaries()
    expect(Object.keys(variables).length).toBeGreaterThan(100)
    let prevResult: Result | undefined
    for (const command of ["VERSION", "ADD", "CHECK", "STATUS", "GC", "DEL", "NONE"]) {
      const call: Call = { command, netns: pod, config: { ...config, ...(prevResult && { prevResult }) } }
      const { calls, outcome: done } = trace(node, plugin, call, variables)
      if (command === "ADD") prevResult = done.result
      expect([command, done.exitCode]).toEqual([command, command === "NONE" ? 1 : 0])
      expect(done.stdout + done.stderr).not.toContain("canary")
      expect(calls.filter(({ args }) => args.includes("canary"))).toEqual([])
      expect(calls.length).toBeGreaterThan(5)
    }
  })

  test("and what is looked at would be found so: CNI_NETNS is", () => {
    using node = new Node()
    const config = { cniVersion: "1.1.0", name: "net", type: "loopback" }
    const call = { command: "ADD", netns: node.pod(), config }
    const { calls } = trace(node, "loopback", call, { CNI_NETNS: "/canary/X" })
    expect(calls.filter(({ args }) => args.includes("canary")).length).toBeGreaterThan(0)
  })

  test("nor does a time zone change what the log says", () => {
    using node = new Node()
    const time = (TZ: string) => {
      const file = join(node.dir, "log")
      const config = { cniVersion: "1.1.0", name: "net", type: "loopback" }
      node.call("loopback", { command: "ADD", netns: node.pod(), config, env: { TZ, CNI_TS_LOG: file } })
      return /"time":"[^"]*(.)"/.exec(readFileSync(file, "utf8"))?.[1]
    }
    expect([time("Asia/Tokyo"), time("UTC0")]).toEqual(["Z", "Z"])
  })
})
