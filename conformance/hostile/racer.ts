import type { Pod } from "../lab/node.ts"
import { Attachment, collect } from "./attachment.ts"
import { SHARED, type Shared } from "./networks.ts"
import type { Random } from "./random.ts"
import type { World } from "./world.ts"

/** A container whose namespace comes and goes, with two interfaces on each network. */
interface Slot {
  readonly containerId: string
  pod: Pod
  readonly attachments: readonly Attachment[]
}

const SLOTS = 3

/** Calls of the same and of other attachments at once, namespaces deleted meanwhile, and two ADDs of one attachment. */
export async function racer(world: World, random: Random): Promise<void> {
  const slots = Array.from({ length: SLOTS }, (_, index) => slotOf(world, index))
  const duel = { containerId: `duel-${world.node.name}` }
  await world.repeat("race", async () => {
    if (random.chance(25)) return fight(world, random, duel.containerId)
    const slot = random.pick(slots)
    const calls = Array.from({ length: 2 + random.below(4) }, () => {
      const attachment = random.pick(random.chance(60) ? slot.attachments.slice(0, 1) : random.pick(slots).attachments)
      return race(world, random, attachment, duel)
    })
    if (random.chance(30)) {
      world.remove(slot.pod)
      world.chronicle.note("namespace deleted", slot.containerId)
    }
    await Promise.all(calls)
    if (random.chance(30)) renew(world, slot)
  })
  for (const { attachments } of slots) for (const attachment of attachments) await attachment.leave()
}

function slotOf(world: World, index: number): Slot {
  const pod = world.pod()
  const containerId = `racer${index}-${world.node.name}`
  const attachments = SHARED.flatMap((name, place) =>
    ["eth", "net"].map((kind, which) => {
      const portMappings = [{ hostPort: 9300 + 10 * index + 2 * place + which, containerPort: 80, protocol: "udp" }]
      const ifname = `${kind}${place}`
      return new Attachment(world, world.networks[name], {
        path: pod.path,
        containerId,
        ifname,
        capabilityArgs: { portMappings },
      })
    }),
  )
  return { containerId, pod, attachments }
}

/** Gives the container an empty namespace at the path of the old one. */
function renew(world: World, slot: Slot): void {
  world.remove(slot.pod)
  slot.pod = world.pod(slot.pod.name)
}

async function race(
  world: World,
  random: Random,
  attachment: Attachment,
  duel: { containerId: string },
): Promise<void> {
  switch (random.pick(["ADD", "ADD", "DEL", "CHECK", "GC"])) {
    case "ADD":
      await attachment.add()
      break
    case "DEL":
      await attachment.leave()
      break
    case "CHECK":
      await attachment.check()
      break
    default: {
      const { network } = attachment
      const known = [...world.witnesses.map(({ wish }) => wish), ...(random.chance(50) ? [attachment.wish] : [])]
      const valid = [...known, ...["eth0", "net1"].map((ifname) => ({ ...duel, path: "", ifname }))]
      await collect(world, network, random.chance(30) ? undefined : valid)
    }
  }
}

/** Two ADDs of one attachment: one may win, and the other says why it does not. */
async function fight(world: World, random: Random, containerId: string): Promise<void> {
  const pod = world.pod()
  const name: Shared = random.pick(SHARED)
  const attachment = new Attachment(world, world.networks[name], { path: pod.path, containerId, ifname: "eth0" })
  const [plugin] = attachment.network.list.plugins
  if (!plugin) return
  const outcomes = await Promise.all([attachment.ask("ADD", plugin), attachment.ask("ADD", plugin)])
  const won = outcomes.filter(({ exitCode }) => exitCode === 0).length
  world.chronicle.note(`duel won by ${won}`)
  if (won > 1) world.chronicle.fail(`two ADDs of one attachment to ${name} both succeeded`)
  for (const { error } of outcomes) {
    if (error && ![11, 102].includes(error.code))
      world.chronicle.fail(`the loser of a duel says ${error.code}: ${error.msg}`)
  }
  await attachment.leave()
  world.remove(pod)
}
