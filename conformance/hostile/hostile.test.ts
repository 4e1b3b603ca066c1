import { afterEach, describe, expect, test } from "vitest"
import { flusher } from "./flusher.ts"
import { foreignIpam } from "./ipam.ts"
import { hostilePod } from "./pod.ts"
import { racer } from "./racer.ts"
import { Random } from "./random.ts"
import { hostileUser } from "./user.ts"
import { World } from "./world.ts"

/** Of all attacks, half of them on each kind of node. */
const SECONDS = Number(process.env["CNITS_HOSTILE_SECONDS"] ?? 60)
/** The number that is printed of a run, to repeat its choices; when they meet is up to the machine. */
const SEED = Number(process.env["CNITS_HOSTILE_SEED"] ?? Date.now() % 2 ** 31)
const timeout = SECONDS * 1000 + 300_000

let world: World | undefined

afterEach(() => {
  world?.[Symbol.dispose]()
  world = undefined
})

describe.each([
  ["IPv4", false],
  ["dual stack", true],
])("on a node with %s", (_, dualStack) => {
  test("three pods are reached while others attack, who leave nothing", { timeout }, async () => {
    world = new World(SECONDS / 2, dualStack)
    await world.begin()
    const { chronicle } = world
    await attack(world, new Random(SEED))
    for (const line of await world.end()) chronicle.fail(`left on the node: ${line}`)
    console.log(`CNITS_HOSTILE_SEED=${SEED}: ${chronicle.summary()}`)
    expect(chronicle.failures).toEqual([])
  })
})

/** Attackers and witnesses at once, until the time is over or something is wrong. */
async function attack(world: World, random: Random): Promise<void> {
  const watch = world.repeat("witnesses", async () => {
    await world.gate.shared(async () => world.observe())
    await Promise.all(world.witnesses.map((witness) => witness.testify()))
  })
  const attackers = [hostilePod, hostileUser, foreignIpam, flusher, racer].map((attacker) =>
    attacker(world, random.fork()),
  )
  const ends = await Promise.allSettled([watch, ...attackers])
  for (const end of ends) if (end.status === "rejected") world.chronicle.fail(String(end.reason?.stack))
}
