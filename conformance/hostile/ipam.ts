import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { install } from "../lab/foreign.ts"
import type { Node } from "../lab/node.ts"
import { act, answer, type Pool, spoil } from "./answers.ts"
import { Attachment } from "./attachment.ts"
import { foreignDirectory } from "./networks.ts"
import type { Random } from "./random.ts"
import type { World } from "./world.ts"

/** Does what it was told to for a call, and without that what it should. */
const ANYTHING = `
told="$(dirname "$0")/told/$CNI_CONTAINERID-$CNI_COMMAND"
if [ -e "$told" ]; then . "$told"; fi
if [ "$CNI_COMMAND" = ADD ]; then echo '{"cniVersion": "1.1.0", "ips": [{"address": "198.18.0.9/24"}]}'; fi
`

export function installAnything(node: Node): void {
  install(node, "foreign", ANYTHING, "anything")
  mkdirSync(join(foreignDirectory(node), "told"))
}

const OWN: Pool = {
  addresses: ["198.18.1.2/24", "198.18.1.3/32", "198.18.2.255/24", "198.18.3.0/24"],
  gateways: ["198.18.1.1", "198.18.2.1", "198.18.9.9"],
}

/** Addresses of everybody on the node. One outside is a gateway only: whose address a pod has is masqueraded as the pod. */
function anyones(world: World): Pool {
  const own = world.witnesses.flatMap((witness) => witness.addresses)
  const node = ["10.244.1.1", "10.244.3.1", "192.168.77.1", "127.0.0.1", "0.0.0.0", "fe80::1", "fd00:77::1"]
  const odd = [
    "224.0.0.1/4",
    "255.255.255.255/32",
    "0.0.0.0/0",
    "::/0",
    "ff02::1/64",
    "::1/128",
    "::ffff:10.244.1.2/120",
  ]
  const prefixed = [...own, ...node].map((address) => `${address}/${address.includes(":") ? 64 : 24}`)
  return { addresses: [...prefixed, ...odd], gateways: [...node, "192.168.77.9"] }
}

/** An IPAM plugin that answers anything, for pods whose host ports are mapped to what it said. */
export function foreignIpam(world: World, random: Random): Promise<void> {
  const { networks, node } = world
  const told = join(foreignDirectory(node), "told")
  return world.repeat("foreign IPAM", async () => {
    const pod = world.pod()
    const name = random.pick(["foreign", "gateway", "routed"] as const)
    const pool = name === "foreign" ? anyones(world) : OWN
    for (const command of ["ADD", "CHECK", "DEL"]) {
      const text = command === "ADD" ? JSON.stringify(spoil(random, answer(random, pool))) : ""
      if (command === "ADD" || random.chance(50))
        writeFileSync(join(told, `${pod.containerId}-${command}`), act(random, text))
    }
    const portMappings = [
      { hostPort: 9000 + random.below(3), containerPort: 80, protocol: random.pick(["tcp", "udp"]) },
    ]
    const attachment = new Attachment(world, networks[name], { ...pod, capabilityArgs: { portMappings } })
    if (await attachment.add()) await attachment.check()
    if (random.chance(60)) await attachment.del()
    for (const command of ["ADD", "CHECK", "DEL"]) rmSync(join(told, `${pod.containerId}-${command}`), { force: true })
    await attachment.leave()
    world.remove(pod)
  })
}
