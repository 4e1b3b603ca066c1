import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { Network } from "./network.ts"

const sixteen = { subnet: "10.1.0.0/16" }

/** Leases as the reference leaves them: the addresses 10.1.0.2 and on. */
function lease(network: Network, count: number): void {
  mkdirSync(network.directory, { recursive: true })
  for (let host = 2; host < count + 2; host++) {
    const attachment = `${"f".repeat(56)}${host.toString(16).padStart(8, "0")}\r\neth0`
    writeFileSync(join(network.directory, `10.1.${host >> 8}.${host & 255}`), attachment, { mode: 0o600 })
  }
  network.put("last_reserved_ip.0", `10.1.${(count + 1) >> 8}.${(count + 1) & 255}`)
}

const ON_FILES = "file,flock,read,write,close,fdatasync,getdents64"

/** The system calls on the network's files: those that name one, or that belong to one opened here. */
function cost(network: Network, command: string, containerId: string) {
  const { calls, outcome } = network.node.trace("host-local", network.call(command, containerId), ON_FILES)
  const files = new Set<string>()
  let count = 0
  for (const { name, args, result } of calls) {
    const [first = ""] = args.split(",")
    const isOurs = args.includes(dirname(network.directory)) && name !== "write" && name !== "read"
    if (isOurs || files.has(first)) count++
    if (isOurs && name === "openat") files.add(result)
    if (name === "close") files.delete(first)
  }
  return { exitCode: outcome.exitCode, calls: count }
}

describe("with 10, 1,000 and 60,000 leases", () => {
  test("ADD, CHECK, DEL and STATUS make the same number of system calls, as do ADD and DEL that have nothing to do", async () => {
    const costs: ReturnType<typeof cost>[][] = []
    for (const count of [10, 1000, 60_000]) {
      using node = new Node()
      const network = new Network(node, sixteen)
      lease(network, count)
      network.check("nobody") // reads them all, once
      costs.push([
        cost(network, "ADD", "c"),
        cost(network, "CHECK", "c"),
        cost(network, "ADD", "c"),
        cost(network, "DEL", "c"),
        cost(network, "DEL", "c"),
        cost(network, "STATUS", ""),
      ])
      await setImmediate() // lets the test runner hear from us
    }
    const [few = [], ...more] = costs
    expect(few.map(({ exitCode }) => exitCode)).toEqual([0, 0, 1, 0, 0, 0])
    // The part of the index that an attachment belongs to may hold others: to be read, and written anew where it would be removed.
    for (const costly of more) {
      for (const [index, { exitCode, calls }] of costly.entries()) {
        expect(exitCode).toBe(few[index]?.exitCode)
        expect(calls).toBeLessThanOrEqual((few[index]?.calls ?? 0) + 4)
      }
    }
    const [add, check, , del, nothing, status] = few.map(({ calls }) => calls)
    const budget = { add: 26, check: 11, del: 18, nothing: 8, status: 7 }
    for (const [verb, count] of Object.entries({ add, check, del, nothing, status })) {
      expect({ verb, count, within: (count ?? 0) <= budget[verb as keyof typeof budget] }).toMatchObject({
        within: true,
      })
    }
  })
})

describe("a range without a free address", () => {
  test("of 65,533 leases is answered after one look at the directory", () => {
    using node = new Node()
    const network = new Network(node, sixteen)
    lease(network, 65_533)
    network.check("nobody")
    const { calls, outcome } = node.trace("host-local", network.call("ADD", "c"), "file,getdents64")
    expect(outcome.error).toMatchObject({ code: 103, msg: expect.stringContaining("10.1.0.1-10.1.255.254") })
    expect(calls.filter(({ name }) => name === "link").length).toBeLessThan(20)
    expect(calls.length).toBeLessThan(300 + 256) // each part of the index, to find leases of dead pods
    expect(network.status()).toMatchObject({ exitCode: 0 })
  })

  test("is answered in IPv6 too, where a walk of every address would never end", () => {
    using node = new Node()
    const network = new Network(node, { subnet: "fd00::/64" })
    mkdirSync(network.directory, { recursive: true })
    for (let host = 2; host < 5002; host++) network.put(`fd00::${host.toString(16)}`, `c${host}\r\neth0`)
    expect(network.lease("c")).toBe("fd00::138a")
    network.put("last_reserved_ip.0", "fd00::ffff:ffff:ffff:fffe")
    network.put("fd00::ffff:ffff:ffff:ffff", "x")
    expect(network.lease("d")).toBe("fd00::138b")
  })
})
