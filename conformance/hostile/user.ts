import { runAsync } from "../lab/run.ts"
import { Attachment } from "./attachment.ts"
import type { Random } from "./random.ts"
import type { World } from "./world.ts"

const NAMES = [
  "eth0",
  "net1",
  'a"b',
  "a{b",
  "a;b",
  "a#b",
  "ä1",
  "a$(id)",
  "-a",
  "a'b",
  "a\\b",
  "a,b",
  "a*",
  "@a",
  "<a>",
]

const ARGS = [
  undefined,
  'IgnoreUnknown=1;K8S_POD_NAME=../../../etc;K8S_POD_NAMESPACE=a"b;K8S_POD_UID=$(id)',
  "IP=10.244.1.2/24;IgnoreUnknown=1",
  "MAC=01:00:5e:00:00:01;IgnoreUnknown=true",
  "IgnoreUnknown=1;GATEWAY=192.168.77.9;IP=192.168.77.1/24",
]

/** Somebody whose annotations a runtime passes on: any address, interface name and host port, on a network that allows them. */
export function hostileUser(world: World, random: Random): Promise<void> {
  const { networks, witnesses } = world
  const own = witnesses.flatMap(({ addresses }) => addresses)
  const claimed = [
    ...own,
    "10.244.1.1",
    "10.244.3.1",
    "192.168.77.1",
    "192.168.77.9",
    "127.0.0.1",
    "fd00:77::1",
    "fd00:10:244:1::1",
    "198.18.7.7",
  ]
  return world.repeat("hostile user", async () => {
    const pod = world.pod()
    const ips = Array.from({ length: 1 + random.below(2) }, () => {
      const address = random.pick(claimed)
      return `${address}/${random.pick(address.includes(":") ? [128, 64, 32] : [32, 24, 8])}`
    })
    const portMappings = Array.from({ length: 1 + random.below(3) }, () => ({
      hostPort: random.pick([8080, 8081, 8082, 9200, 9201]),
      containerPort: random.pick([80, 443]),
      protocol: random.pick(["tcp", "tcp", "udp", "sctp"]),
      ...(random.chance(30) && { hostIP: random.pick(["0.0.0.0", "127.0.0.1", "192.168.77.1", "::", "10.244.1.1"]) }),
    }))
    const capabilityArgs = { ips, portMappings, ...(random.chance(30) && { mac: "02:00:00:00:00:66" }) }
    const args = random.pick(ARGS)
    const wish = { ...pod, ifname: random.pick(NAMES), capabilityArgs, ...(args !== undefined && { args }) }
    const attachment = new Attachment(world, networks.users, wish)
    if (await attachment.add()) {
      world.chronicle.note("user attached", wish.ifname)
      await attachment.check()
    }
    await world.gate.shared(() => parses(world, wish.ifname))
    await attachment.leave()
    world.remove(pod)
  })
}

/** Fails unless the ruleset can be saved and loaded again. */
async function parses(world: World, ifname: string): Promise<void> {
  const { exitCode, stderr } = await runAsync(world.node.inside(["sh", "-c", "nft list ruleset | nft -c -f -"]))
  // Others change it meanwhile: what is added by both is no fault of its text.
  if (exitCode !== 0 && /syntax error/.test(stderr)) world.chronicle.fail(`saved ruleset with ${ifname}: ${stderr}`)
}
