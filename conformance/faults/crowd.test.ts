import { expect, test } from "vitest"
import type { Outcome } from "../lab/call.ts"
import type { Implementation } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { leases, Network, ports } from "../plugins/bridge/network.ts"
import { readLeases } from "./leases.ts"
import { bridged } from "./subjects.ts"

const CROWD = 200

test("200 ADDs at once amid DELs, CHECKs and GCs, ours and the reference's in one directory: no address twice, no lease lost, none left", async () => {
  using node = new Node()
  const ours = new Network(node, bridged(node))
  const networks = [ours, ours.as("reference")]
  const pods = Array.from({ length: CROWD }, () => node.pod())
  const [staying, leaving] = [pods.slice(0, 20), pods.slice(20, 60)]
  const results = new Map([...staying, ...leaving].map((pod) => [pod, ours.connect(pod)]))
  const coming = [...pods.slice(60), ...Array.from({ length: 60 }, () => node.pod())]
  // A runtime lists a pod until its DEL has ended, and may not run GC and DEL for the same pod: the Go plugin's DEL would fail.
  const valid = [...staying, ...leaving, ...coming].map(({ containerId }) => ({
    containerID: containerId,
    ifname: "eth0",
  }))
  const config = { ...ours.config, "cni.dev/valid-attachments": valid }

  const outcomes = await Promise.all([
    ...coming.map((pod, index) => call(networks[index % 2], "ADD", pod)),
    ...leaving.map((pod, index) => call(networks[index % 2], "DEL", pod)),
    ...staying.map((pod) =>
      node.callAsync("bridge", { command: "CHECK", netns: pod, config: told(ours, results.get(pod)) }),
    ),
    ...Array.from({ length: 5 }, () => node.callAsync("bridge", { command: "GC", config })),
  ])
  expect(outcomes.filter(({ exitCode }) => exitCode !== 0).map(({ stdout }) => stdout)).toEqual([])

  const present = [...staying, ...coming]
  const given = [
    ...staying.map((pod) => results.get(pod)),
    ...outcomes.slice(0, coming.length).map(({ result }) => result),
  ]
  const addresses = given.flatMap((result) => result?.ips?.map(({ address }) => address.split("/")[0]) ?? [])
  expect(addresses).toHaveLength(2 * present.length)
  expect(new Set(addresses).size, "addresses that differ").toBe(addresses.length)
  const expected = present.flatMap(({ containerId }, index) => {
    const attachment = `${containerId}\r\neth0`
    return addresses.slice(2 * index, 2 * index + 2).map((address) => `${address}: ${attachment}`)
  })
  expect(readLeases(node)).toEqual(expected.sort())
  expect(ports(node)).toHaveLength(present.length)

  const gone = await Promise.all(present.map((pod, index) => call(networks[(index + 1) % 2], "DEL", pod)))
  expect(gone.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
  expect([leases(node), ports(node)]).toEqual([[], []])
})

test("pods per second, beside the reference", async () => {
  using node = new Node()
  const pods = Array.from({ length: CROWD / 2 }, () => node.pod())
  const times = { reference: [0, 0], ours: [0, 0] }
  for (const implementation of ["reference", "ours", "ours", "reference"] satisfies Implementation[]) {
    const network = new Network(node, bridged(node), implementation)
    for (const [index, command] of ["ADD", "DEL"].entries()) {
      const began = performance.now()
      const outcomes = await Promise.all(pods.map((pod) => call(network, command, pod)))
      times[implementation][index] = (times[implementation][index] ?? 0) + performance.now() - began
      expect(outcomes.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
    }
    expect([leases(node), ports(node)]).toEqual([[], []])
  }
  for (const [who, [add = 0, del = 0]] of Object.entries(times)) {
    console.log(`${who}: ${perSecond(add)} ADDs and ${perSecond(del)} DELs a second, ${pods.length} at once`)
  }
})

function call(network: Network | undefined, command: string, netns: Pod): Promise<Outcome> {
  if (!network) throw new Error("no network")
  const { node, config, implementation } = network
  return node.callAsync("bridge", { command, netns, implementation, config })
}

function told({ config }: Network, prevResult: unknown): object {
  return { ...config, prevResult }
}

function perSecond(milliseconds: number): string {
  return ((CROWD * 1000) / milliseconds).toFixed(1)
}
