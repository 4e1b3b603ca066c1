import type { Pod } from "../lab/node.ts"
import { runAsync } from "../lab/run.ts"
import { Attachment } from "./attachment.ts"
import { advertise, spoof } from "./frames.ts"
import { SHARED, type Shared } from "./networks.ts"
import type { Random } from "./random.ts"
import type { World } from "./world.ts"

/** Indexes and names of links of the node that a pod may pretend to be at the other end of. */
interface Target {
  readonly ifindex: number
  readonly ifname: string
  readonly alias: string
}

/** Returns what anybody can do who owns a network namespace, as lines of shell; those that fail are for another moment. */
function rewirings(random: Random, target: Target, own: number): readonly string[] {
  const { ifindex, ifname, alias } = target
  const swap = "ip link set eth0 name old$$; ip link del eth0"
  return [
    "ip link set eth0 name other; sleep 0.05; ip link set other name eth0",
    "ip link del eth0",
    "ip link set eth0 down; ip link set eth0 up",
    "ip addr flush dev eth0; ip route flush table all",
    `${swap}; ip link add eth0 index ${own} type veth peer name p$$ index ${ifindex}; ip link set eth0 up`,
    `${swap}; ip link add eth0 index ${ifindex} type veth peer name p$$ index ${own}; ip link set eth0 up`,
    `${swap}; ip link add eth0 type veth peer name ${ifname} index ${ifindex}; ip link set ${ifname} up`,
    "ip link del eth0; ip link add eth0 type dummy; ip link set eth0 up",
    "ip link del eth0; ip link add eth0 type bridge; ip link set eth0 up",
    `ip link add ${ifname} type dummy; ip link set ${ifname} alias '${alias}'; ip link set eth0 alias '${alias}'`,
    "ip link add br0 type bridge; ip link set eth0 master br0",
    "ip link add link eth0 name net1 type macvlan; ip link set net1 up",
    `ip link add net1 type veth peer name p$$ index ${ifindex}; ip link set net1 up`,
    "tc qdisc add dev eth0 root netem loss 100%; tc qdisc add dev eth0 ingress",
    "ip addr add 127.0.0.2/8 dev eth0; ip addr add 192.0.2.1/32 dev eth0; ip -6 addr add 2001:db8::1/64 dev eth0 nodad",
    "nft add table ip cni_hostport; nft add chain ip cni_hostport hostports",
    `i=0; while [ $i -lt ${10 + random.below(100)} ]; do i=$((i+1)); echo "link add d$i type dummy"; done | ip -force -batch -`,
    "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 9 >/proc/sys/net/ipv6/conf/all/hop_limit",
  ]
}

/** Goes on until `stopped` says so, at once or after a while, as fast as it can or now and then. */
async function rewire(world: World, random: Random, pod: Pod, stopped: () => boolean): Promise<void> {
  const targets = targetsOf(world)
  const pause = random.pick(["0", "0.05", "0.3"])
  await sleep(random.pick(["0", "0.1", "0.5"]))
  while (!stopped()) {
    const own = world.node.ip("link", "show").at(-1)?.ifindex ?? 2
    const script = random.pick(rewirings(random, random.pick(targets), own))
    await runAsync(pod.inside(["sh", "-c", `exec 2>/dev/null; ${script}`]))
    world.chronicle.note("rewiring")
    await sleep(pause)
  }
}

/** Pods that are attached, rewire their namespace before, between and after the plugins' calls, and are removed. */
export function hostilePod(world: World, random: Random): Promise<void> {
  return world.repeat("hostile pod", async () => {
    const pod = world.pod()
    let ended = false
    const meanwhile = rewire(world, random.fork(), pod, () => ended)
    try {
      await live(world, random, pod, random.pick(SHARED))
    } finally {
      ended = true
      await meanwhile
    }
    world.remove(pod)
    await expectNoTrace(world, pod)
  })
}

async function live(world: World, random: Random, pod: Pod, name: Shared): Promise<void> {
  const low = { ingressRate: 8000, ingressBurst: 80000, egressRate: 8000, egressBurst: 80000 }
  const portMappings = [{ hostPort: 9100 + random.below(10), containerPort: 80, protocol: "tcp" }]
  const capabilityArgs = { portMappings, bandwidth: low }
  const attach = (ifname: string) => new Attachment(world, world.networks[name], { ...pod, ifname, capabilityArgs })
  const [first, second] = [attach("eth0"), attach("net1")]
  // Who has no MAC guard may speak with any address, by the administrator's choice.
  const claimed = random.pick(world.witnesses.map(({ links }) => links.mac))
  const speaks = name === "chain" ? undefined : spoof(pod, random.pick(["eth0", "net1"]), claimed, 0.7)
  const added = await first.add(async () => {
    await sleep(random.pick(["0", "0.02", "0.1"]))
    if (await advertise(pod, "eth0")) world.chronicle.note("router advertisement")
  })
  await world.observeBridges()
  if (added) await first.check()
  if (random.chance(50)) {
    const addedToo = await second.add()
    await world.observeBridges()
    if (addedToo) await second.check()
    await second.leave()
  }
  await speaks
  await first.leave()
}

async function sleep(seconds: string): Promise<void> {
  await runAsync(["sleep", seconds])
}

function targetsOf({ node, witnesses }: World): Target[] {
  const known = new Set([...witnesses.map(({ links }) => links.host?.ifname), "cni0", "cni1", "wan0"])
  const links = node.ip("link", "show").filter(({ ifname }) => known.has(ifname))
  return links.map(({ ifindex = 0, ifname = "", ifalias = "" }) => ({ ifindex, ifname, alias: String(ifalias) }))
}

/** Fails if anything on the node still bears the pod's name. */
async function expectNoTrace(world: World, { containerId, name }: Pod): Promise<void> {
  const script = '{ ip link; nft list ruleset; grep -rs "" "$0"; } | grep -w "$1"'
  const { stdout } = await runAsync(world.node.inside(["sh", "-c", script, `${world.node.dir}/ipam`, containerId]))
  if (stdout !== "") world.chronicle.fail(`DEL of ${name} left: ${stdout}`)
}
