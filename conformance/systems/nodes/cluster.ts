import { join } from "node:path"
import { Network } from "testcontainers"
import { Docker } from "./docker.ts"
import { DockerNode } from "./docker-node.ts"
import { buildImage } from "./image.ts"

/** A cluster's pod network as one node has it configured. */
export interface PodNetwork {
  readonly name: string
  /** The directory of its leases. */
  readonly leases: string
  /** If the Go plugins find the host ports that ours opened: told nothing else, they look only among the rules of iptables. */
  readonly sharedPorts: boolean
  /** The conflist for a node whose pods live in `subnet`. */
  readonly conflist: (subnet: string) => object
}

const portmap = { type: "portmap", capabilities: { portMappings: true } }

export const BRIDGE: PodNetwork = {
  name: "bridge and portmap",
  leases: "/var/lib/cni/networks/podnet",
  sharedPorts: true,
  conflist: (subnet) => ({
    cniVersion: "1.0.0",
    name: "podnet",
    plugins: [
      {
        type: "bridge",
        isDefaultGateway: true,
        hairpinMode: true,
        ipam: { type: "host-local", ranges: [[{ subnet }]] },
      },
      { ...portmap, backend: "nftables" },
    ],
  }),
}

/** As the daemon of kind's own network writes it. */
export const KIND: PodNetwork = {
  name: "kind's own network",
  leases: "/run/cni-ipam-state/kindnet",
  sharedPorts: false,
  conflist: (subnet) => ({
    cniVersion: "0.3.1",
    name: "kindnet",
    plugins: [
      {
        type: "ptp",
        ipMasq: false,
        ipam: {
          type: "host-local",
          dataDir: "/run/cni-ipam-state",
          routes: [{ dst: "0.0.0.0/0" }],
          ranges: [[{ subnet }]],
        },
        mtu: 1500,
      },
      portmap,
    ],
  }),
}

export interface Cluster {
  readonly first: DockerNode
  readonly second: DockerNode
}

const SUBNETS = ["10.244.1.0/24", "10.244.2.0/24"] as const

/** Docker with the nodes' image. */
export async function startDocker(): Promise<Docker> {
  const docker = await Docker.start()
  await buildImage(join(docker.network.dir, "image"))
  return docker
}

export async function startCluster(docker: Docker, pods: PodNetwork): Promise<Cluster> {
  const network = await new Network().start()
  const start = (subnet: string) => DockerNode.start({ docker, network, conflist: pods.conflist(subnet) })
  const [first, second] = await Promise.all([start(SUBNETS[0]), start(SUBNETS[1])])
  connect({ first, second })
  return { first, second }
}

/** Each node learns the way to the other's pods, as it does from a cluster's controller. */
export function connect({ first, second }: Cluster): void {
  first.routeTo(SUBNETS[1], second)
  second.routeTo(SUBNETS[0], first)
}
