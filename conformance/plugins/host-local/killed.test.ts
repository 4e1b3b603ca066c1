import { setImmediate } from "node:timers/promises"
import { expect, test } from "vitest"
import { type Call, environment, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { output, run } from "../../lab/run.ts"
import { type Asked, Network } from "./network.ts"

/** Every system call that changes a file, a directory or a lock. */
const CHANGES = ["flock", "mkdir", "write", "fdatasync", "link", "unlink", "rename", "utimensat"]
const dual = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00::/64" }]] }

/** Runs the call with SIGKILL in the place of its nth change of one kind; true if it got that far. */
function killedAt(change: string, nth: number, node: Node, call: Call): boolean {
  const program = `${binDirectory()}/host-local`
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `inject=${change}:signal=SIGKILL:when=${nth}`]
  // The shell survives its child and says how it ended: 137 for SIGKILL.
  const argv = node.inside(["sh", "-c", '"$@"; echo "ended $?" >&2', "sh", ...strace, program])
  const { stderr } = run(argv, { env: environment(call), stdin: stdin(call) })
  return stderr.includes("ended 137")
}

/** Makes a network, kills a call at one change after the other, and judges what is left each time. Counts the kills. */
async function killEverywhere(prepare: (network: Network) => Call, judge: (network: Network) => void): Promise<number> {
  let kills = 0
  for (const change of CHANGES) {
    for (let nth = 1; ; nth++) {
      using node = new Node()
      const network = new Network(node, dual)
      if (!killedAt(change, nth, node, prepare(network))) break
      judge(network)
      kills++
      await setImmediate() // lets the test runner hear from us
    }
  }
  return kills
}

/** Nothing is leased but what is said, and nothing else lies about. */
function expectOnly(network: Network, attachments: readonly string[]): void {
  expect([...new Set(Object.values(network.leases()))].sort()).toEqual(attachments)
  const names = Object.keys(network.files()).filter((name) => !/^([0-9a-f:.]+|last_reserved_ip\.\d|lock)$/.test(name))
  expect(names).toEqual([])
}

test("after an ADD that was killed at any step, the reference frees what it leased by DEL, and can ADD again", async () => {
  const healer: Asked = { implementation: "reference" }
  const steps = await killEverywhere(
    (network) => {
      network.add("other")
      return network.call("ADD", "c")
    },
    (network) => {
      for (const text of Object.values(network.leases())) expect(text).toMatch(/^(other|c)\r\neth0$/)
      expect(network.del("c", healer).exitCode).toBe(0)
      expect(Object.values(network.leases())).toEqual(["other\r\neth0", "other\r\neth0"])
      expect(network.add("c", healer).exitCode).toBe(0)
      expect(network.check("other").exitCode).toBe(0)
      network.del("c")
      expectOnly(network, ["other\r\neth0"])
    },
  )
  expect(steps).toBeGreaterThan(8)
})

test("after a call that had to read all leases was killed at any step, nothing is forgotten", async () => {
  const steps = await killEverywhere(
    (network) => {
      for (const id of ["a", "b"]) network.add(id, { implementation: "reference" })
      return network.call("DEL", "unknown")
    },
    (network) => {
      expect(network.del("a").exitCode).toBe(0)
      expectOnly(network, ["b\r\neth0"])
      expect(network.add("b").error?.msg).toContain("duplicate allocation")
    },
  )
  expect(steps).toBeGreaterThan(4)
})

test("a lease file is on the disk before it has its name", () => {
  using node = new Node()
  const network = new Network(node, dual)
  const { calls } = node.trace("host-local", network.call("ADD", "c"), "link,fdatasync,write")
  const names = calls.filter(({ args, name }) => name !== "write" || args.includes("eth0")).map(({ name }) => name)
  expect(names.filter((name) => ["write", "fdatasync", "link"].includes(name)).slice(0, 4)).toEqual([
    "write",
    "fdatasync",
    "link",
    "link",
  ])
  expect(output(["find", network.directory, "-empty", "-name", "[0-9f]*"])).toBe("")
})
