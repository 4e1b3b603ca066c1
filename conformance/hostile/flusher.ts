import { ruleset } from "../lab/ruleset.ts"
import { output, runAsync } from "../lab/run.ts"
import { Attachment, collect } from "./attachment.ts"
import type { HostileNetwork } from "./networks.ts"
import { rulesOf } from "./observed.ts"
import type { Random } from "./random.ts"
import type { World } from "./world.ts"

interface Named {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly chain: string
  readonly handle: number
  readonly comment?: string
}

/** One object of `nft -j list ruleset` by its kind. */
type Listed = Readonly<Record<"table" | "chain" | "set" | "map" | "rule", Named | undefined>>

/**
 * Somebody who flushes and deletes what is ours. Rules of other attackers go at any time. What is shared goes only while nobody else is on
 * the node, and is put back afterwards: a witness cannot be reached without its rules, so that until then the question is another one,
 * namely if calls for a pod of the flusher's own take a rule of anybody else, or leave one of their own.
 */
export function flusher(world: World, random: Random): Promise<void> {
  return world.repeat("flusher", async () => {
    if (random.chance(70)) await takeFromAttackers(world, random)
    else await world.gate.alone(() => hitAndPutBack(world, random))
    await runAsync(["sleep", "0.05"])
  })
}

async function takeFromAttackers(world: World, random: Random): Promise<void> {
  const witnesses = world.witnesses.map(({ wish }) => wish.containerId)
  const isAttackers = (text = "") => /container-of|racer/.test(text) && !witnesses.some((id) => text.includes(id))
  // Who speaks with the MAC addresses of witnesses keeps its guard.
  const mayGo = ({ family }: Named, text = "") => isAttackers(text) && (family !== "bridge" || text.includes("racer"))
  const targets = listed(world).flatMap(({ rule, chain }) => {
    if (rule && mayGo(rule, rule.comment)) return [`delete rule ${place(rule, rule.chain)} handle ${rule.handle}`]
    return chain && mayGo(chain, chain.name) ? [`flush chain ${place(chain, "")} handle ${chain.handle}`] : []
  })
  if (targets.length > 0) await world.gate.shared(() => change(world, random.pick(targets)))
}

async function hitAndPutBack(world: World, random: Random): Promise<void> {
  const saved = ruleset(world.node)
  // Without the rules that ask for it, the last DEL takes this back.
  const localnet = ["cni0", "cni1", ...world.witnesses.map(({ links }) => `${links.host?.ifname}`)].map((link) => {
    const name = `net/ipv4/conf/${link}/route_localnet`
    return [name, world.node.sysctl(name)] as const
  })
  try {
    await hit(world, random)
  } finally {
    output(world.node.inside(["nft", "-f", "-"]), { stdin: `flush ruleset\n${saved}` })
    for (const [name, value] of localnet) world.node.sysctl(name, value)
    // Without guards bridges may have heard others speak with their addresses.
    for (const witness of world.witnesses) await witness.speak()
  }
}

/** Removes what is shared, once or twice, while a pod of the flusher's own comes and goes. */
async function hit(world: World, random: Random): Promise<void> {
  const pod = world.pod()
  const portMappings = [{ hostPort: 9400, containerPort: 80, protocol: "tcp" }]
  const network = { ...world.networks[random.pick(["chain", "guarded", "ptp"] as const)], alone: true }
  const attachment = new Attachment(world, network, { ...pod, capabilityArgs: { portMappings } })
  const early = random.chance(70)
  if (early) await expectAttached(world, attachment)
  if (random.chance(20)) await hang(world, attachment)
  for (let times = 1 + random.below(2); times > 0; times--) await change(world, random.pick(hits(world)))
  const before = rulesOf(world)
  if (!early) await expectAttached(world, attachment)
  else if (random.chance(30)) await attachment.check()
  if (random.chance(40)) await collectAll(world, network)
  else await attachment.leave()
  expectOnlyOwnGone(world, pod.containerId, before)
  // The same port and names can be had again, whatever is left of the sets in which they are noted.
  await attachment.leave()
  await expectAttached(world, attachment)
  await attachment.leave()
  expectOnlyOwnGone(world, pod.containerId, before)
  world.remove(pod)
}

async function expectAttached(world: World, attachment: Attachment): Promise<void> {
  if ((await attachment.add()) && (await attachment.check())) return
  world.chronicle.fail(`a pod cannot be attached, with these rules:\n${ruleset(world.node)}`)
}

/** A rule of somebody else's that leads to the pod's MAC guard, if it has one: DEL names it, and once it is gone removes all. */
async function hang(world: World, attachment: Attachment): Promise<void> {
  const chain = `cni-br-iface-${attachment.wish.containerId}-eth0`
  if (!rulesOf(world).some((rule) => rule.includes(`jump ${chain} `))) return
  await change(world, "add chain bridge nat hanger")
  await change(world, `add rule bridge nat hanger jump ${chain}`)
  const said = (await attachment.del()).map(({ stdout, stderr }) => stdout + stderr).join("\n")
  if (!said.includes("hanger")) world.chronicle.fail(`DEL does not name the rule that is in its way: ${said}`)
  await change(world, "flush chain bridge nat hanger")
  await change(world, "delete chain bridge nat hanger")
}

async function collectAll(world: World, network: HostileNetwork): Promise<void> {
  for (const { exitCode, stdout, stderr } of await collect(world, network, world.witnessesOf(network))) {
    if (exitCode !== 0) world.chronicle.fail(`GC failed: ${stdout}${stderr}`)
  }
}

function expectOnlyOwnGone(world: World, containerId: string, before: readonly string[]): void {
  const own = ruleset(world.node)
    .split("\n")
    .filter((line) => line.includes(containerId))
  if (own.length > 0) world.chronicle.fail(`left of the flusher's pod: ${own.join("\n")}`)
  const now = rulesOf(world)
  const others = before.filter((rule) => world.witnesses.some(({ wish }) => rule.includes(wish.containerId)))
  for (const rule of others.filter((one) => !now.includes(one))) world.chronicle.fail(`a witness lost ${rule}`)
}

/** All that can be done to what is shared. */
function hits(world: World): string[] {
  return listed(world).flatMap(({ table, chain, set, map }) => [
    ...(table ? [`flush table ${table.family} ${table.name}`, `delete table ${table.family} ${table.name}`] : []),
    ...(chain ? [`flush chain ${place(chain, chain.name)}`, `delete chain ${place(chain, chain.name)}`] : []),
    ...(set ? [`flush set ${place(set, set.name)}`, `delete set ${place(set, set.name)}`] : []),
    ...(map ? [`flush map ${place(map, map.name)}`, `delete map ${place(map, map.name)}`] : []),
  ])
}

const place = ({ family, table }: Named, name: string) => `${family} ${table} ${name}`.trim()

function listed({ node }: World): Listed[] {
  const { nftables } = JSON.parse(output(node.inside(["nft", "-j", "list", "ruleset"]))) as { nftables: Listed[] }
  return nftables
}

/** Makes one change; if it cannot be done, as a chain is in use or gone by now, it is left. */
async function change({ node, chronicle }: World, line: string): Promise<void> {
  const { exitCode } = await runAsync(node.inside(["nft", line]))
  if (exitCode === 0) chronicle.note("flushed", line)
}
