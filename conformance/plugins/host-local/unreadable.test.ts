import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { failing, Network, under } from "./network.ts"

const SMALL = { subnet: "10.1.2.0/24" }
const TAKEN = { "10.1.2.2": "a\r\neth0", "10.1.2.3": "b\r\neth0" }

/** Two pods with a lease each. */
function leased(node: Node): Network {
  const network = new Network(node, SMALL)
  for (const id of ["a", "b"]) network.lease(id)
  return network
}

/** Paths that cannot be read, and what the kernel may say of it, for a disk, a network file system or a security module. */
const UNREADABLE: readonly [what: string, path: (network: Network) => string, call: string, error: string][] = [
  ["the directory", ({ directory }) => directory, "getdents64", "EIO"],
  ["the directory", ({ directory }) => directory, "getdents64", "ESTALE"],
  ["the directory", ({ directory }) => directory, "openat", "EMFILE"],
  ["a lease", ({ directory }) => join(directory, "10.1.2.2"), "read", "EIO"],
  ["a lease", ({ directory }) => join(directory, "10.1.2.2"), "read", "ESTALE"],
  ["a lease", ({ directory }) => join(directory, "10.1.2.2"), "openat", "EACCES"],
  ["a lease", ({ directory }) => join(directory, "10.1.2.2"), "openat", "EAGAIN"],
  ["a lease", ({ directory }) => join(directory, "10.1.2.2"), "openat", "ENFILE"],
]

describe.each(UNREADABLE)("%s that cannot be read", (_what, path, call, error) => {
  test(`fails every call that has to know (${call} ${error}), and is no reason to forget leases for ever`, () => {
    using node = new Node()
    const network = leased(node)
    for (const [command, id] of [
      ["DEL", "a"],
      ["GC", ""],
      ["CHECK", "a"],
      ["ADD", "a"],
    ] as const) {
      network.put("10.1.2.9", "other\r\neth0") // by somebody else: the index is outdated
      const outcome = under(node, network.call(command, id), failing(path(network), call, error))
      expect(outcome.error, command).toMatchObject({ code: 101, msg: expect.stringContaining(path(network)) })
      rmSync(join(network.directory, "10.1.2.9"))
      expect(network.leases(), command).toEqual(TAKEN)
    }
    expect(network.check("a").exitCode).toBe(0)
    for (const id of ["a", "b"]) expect(network.del(id).exitCode).toBe(0)
    expect(network.leases()).toEqual({})
  })
})

describe.each([
  ["read", "EIO"],
  ["openat", "EACCES"],
])("a part of the index that cannot be read (%s %s)", (call, error) => {
  test("hides no lease, neither its own nor another's that is noted beside it", () => {
    using node = new Node()
    const network = new Network(node, SMALL)
    network.lease("a")
    const [part = ""] = readdirSync(network.index)
    const blind = failing(join(network.index, part), call, error)
    const ask = (command: string, ifname: string) => under(node, network.call(command, "a", { ifname }), blind)
    expect(ask("ADD", "eth1").exitCode).toBe(0) // the same container's, so in the same part
    expect(network.check("a").exitCode).toBe(0)
    expect(ask("DEL", "eth1").exitCode).toBe(0)
    expect(network.leases()).toEqual({ "10.1.2.2": "a\r\neth0" })
    const nobody = { config: { "cni.dev/valid-attachments": [] } }
    expect(under(node, network.call("GC", "", nobody), blind).exitCode).toBe(0)
    expect(network.leases()).toEqual({})
  })
})
