import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { environment, outcome } from "./lab/call.ts"
import { binDirectory, type Implementation } from "./lab/executables.ts"
import { install } from "./lab/foreign.ts"
import { Node } from "./lab/node.ts"
import { run } from "./lab/run.ts"

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
