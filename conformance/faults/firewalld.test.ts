import { join } from "node:path"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { Firewalld } from "../lab/firewalld.ts"
import { Node } from "../lab/node.ts"
import { failEverywhere } from "./error-matrix.ts"
import { killEverywhere } from "./kill-matrix.ts"
import { bridged, type Subject } from "./subjects.ts"

/** In a network namespace of its own: what it is told is told by calls that name it, on other nodes. */
let place: Node
let firewalld: Firewalld

beforeAll(() => {
  place = new Node()
  firewalld = new Firewalld(place, join(place.dir, "firewalld"))
})
afterAll(() => {
  firewalld[Symbol.dispose]()
  place[Symbol.dispose]()
})
/** Nodes go without DEL of the pod beside. */
afterEach(() => {
  for (const source of firewalld.sources()) firewalld.call("zone.removeSource", "trusted", source)
})

const subject = (): Subject => ({
  name: "firewall with firewalld after bridge, isolated, beside another pod",
  first: 1,
  plugins: (node) => [
    bridged(node, "10.244.0.0/23"),
    { type: "firewall", backend: "firewalld", ingressPolicy: "isolated" },
  ],
  env: { ...firewalld.env },
  beside: true,
  reaches: "10.244.0.1",
})

const ONE = [expect.stringMatching(/^10\.244\.0\.\d+\/32$/)]

test.each(["ADD", "DEL"] as const)(
  "after a %s killed at any system call, DEL, ADD and DEL, or GC leave the node and the zone as they were",
  { timeout: 600_000 },
  async (verb) => {
    const { points, kills, failures } = await killEverywhere(subject(), verb)
    console.log(`${subject().name}, ${verb}: ${points} points, ${kills} kills, ${failures.length} failures`)
    expect(failures).toEqual([])
    expect(firewalld.sources()).toEqual(ONE) // the other pod's
  },
)

test.each(["ADD", "DEL"] as const)(
  "%s ends in one answer and leaves nothing, whichever system call fails",
  { timeout: 600_000 },
  async (verb) => {
    const { points, faults, errors, failures } = await failEverywhere(subject(), verb)
    console.log(`${subject().name}, ${verb}: ${points} points, ${faults} faults, ${errors} errors`)
    expect(failures).toEqual([])
    expect(errors).toBeGreaterThan(0)
    // A DEL that cannot ask firewalld says so, and succeeds.
    if (verb === "ADD") expect(firewalld.sources()).toEqual(ONE)
  },
)
