import { spawn } from "node:child_process"
import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { implementations, Network } from "./network.ts"

const [ours, reference] = implementations
const dual = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "fd00::/64" }]] }

describe("the reference and we in one directory", () => {
  test("lease after one another, never the same address", () => {
    using node = new Node()
    const network = new Network(node, dual)
    const given = ["a", "b", "c", "d", "e", "f"].map((id, index) =>
      network.lease(id, { implementation: index % 2 === 0 ? ours : reference }),
    )
    expect(given).toEqual([2, 3, 4, 5, 6, 7].map((host) => `10.1.2.${host}`))
  })

  test("see each other's leases in ADD and CHECK, and free them in DEL", () => {
    using node = new Node()
    const network = new Network(node, dual)
    for (const [maker, other] of [implementations, [reference, ours]] as const) {
      network.add("c", { implementation: maker })
      expect(network.add("c", { implementation: other }).error?.msg).toContain("duplicate allocation is not allowed")
      expect(network.check("c", { implementation: other }).exitCode).toBe(0)
      expect(network.del("c", { implementation: other }).exitCode).toBe(0)
      expect(network.leases()).toEqual({})
      expect(network.check("c", { implementation: maker }).exitCode).toBe(1)
    }
  })

  test("may take over an attachment's addresses behind our back: we find the new ones", () => {
    using node = new Node()
    const network = new Network(node, dual)
    network.add("a")
    network.add("b")
    network.del("a", { implementation: reference })
    network.add("a", { implementation: reference })
    expect(network.del("a").exitCode).toBe(0)
    expect(Object.values(network.leases())).toEqual(["b\r\neth0", "b\r\neth0"])
    expect(network.lease("a")).toBe("10.1.2.5")
  })

  test.each(implementations)("wait for the lock that flock(2) gives (%s)", async (implementation) => {
    using node = new Node()
    const network = new Network(node, dual)
    network.add("a", { implementation })
    const order: string[] = []
    const holder = `exec 9<"$0"; flock 9; echo held; sleep 1; echo released`
    const held = spawn("sh", ["-c", holder, `${network.directory}/lock`])
    await new Promise<void>((resolve) =>
      held.stdout.on("data", (text: Buffer) => {
        order.push(...text.toString().trim().split("\n"))
        resolve()
      }),
    )
    await node.callAsync("host-local", network.call("ADD", "b", { implementation }))
    order.push("added")
    expect(order).toEqual(["held", "released", "added"])
  })

  test("forty ADDs at once, of both, lease forty addresses; forty DELs free them all", async () => {
    using node = new Node()
    const network = new Network(node, { subnet: "10.1.2.0/24" })
    const ids = Array.from({ length: 40 }, (_, index) => `c${index}`)
    const byTurns = (index: number) => ({ implementation: index % 2 === 0 ? ours : reference })
    const all = (command: string) =>
      Promise.all(ids.map((id, index) => node.callAsync("host-local", network.call(command, id, byTurns(index)))))
    const added = await all("ADD")
    expect(added.map(({ exitCode }) => exitCode)).toEqual(ids.map(() => 0))
    expect(new Set(added.map(({ result }) => result?.ips?.[0]?.address)).size).toBe(40)
    expect(Object.values(network.leases()).sort()).toEqual(ids.map((id) => `${id}\r\neth0`).sort())
    await all("DEL")
    expect(Object.keys(network.files())).toEqual(["last_reserved_ip.0", "lock"])
  })

  test("a crowd of ADDs larger than the range leaves no address unused and none used twice", async () => {
    using node = new Node()
    const network = new Network(node, { subnet: "10.1.2.0/28" })
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => node.callAsync("host-local", network.call("ADD", `c${index}`))),
    )
    expect(outcomes.filter(({ exitCode }) => exitCode === 0)).toHaveLength(13)
    expect(Object.keys(network.leases())).toHaveLength(13)
    const [failed] = outcomes.filter(({ exitCode }) => exitCode === 1)
    expect(failed?.error).toMatchObject({ code: 103, msg: expect.stringContaining("no IP addresses available") })
  })
})
