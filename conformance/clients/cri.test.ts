import { readFileSync } from "node:fs"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import { BASH } from "../lab/run.ts"
import { ASK } from "../systems/containerd/cluster-node.ts"
import type { Cri } from "../systems/containerd/cri.ts"
import { LOG, startContainerd, startCri } from "./containerd.ts"
import { HERE, type Place, startMachine, THERE } from "./place.ts"

/** Two addresses for pods. containerd 2 asks STATUS of every plugin of a list of this version, each time that the kubelet asks it. */
const SMALL: NetworkList = {
  cniVersion: "1.1.0",
  name: "small",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      hairpinMode: true,
      ipMasq: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.244.1.0/24", rangeStart: "10.244.1.2", rangeEnd: "10.244.1.3" }]],
      },
    },
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
    { type: "firewall" },
    { type: "tuning" },
  ],
}

let place: Place
let cri: Cri

beforeAll(async () => {
  place = await startMachine()
  cri = await startCri(place, "10-small.conflist", JSON.stringify(SMALL))
})

afterEach(() => cri.removePods())

afterAll(async () => {
  await place?.machine[Symbol.asyncDispose]()
  place?.node[Symbol.dispose]()
})

function isReady(): boolean {
  const { status } = JSON.parse(cri.crictl("info").stdout) as {
    status: { conditions: { type: string; status: boolean }[] }
  }
  return status.conditions.some((condition) => condition.type === "NetworkReady" && condition.status)
}

/** Kills containerd and starts it again. */
async function startAgain(): Promise<void> {
  const [line = ""] = place.machine.processes().filter((process) => process.endsWith("(containerd)"))
  place.machine.run(["kill", "-9", `${Number.parseInt(line, 10)}`])
  startContainerd(place)
  await cri.ready()
}

/** Returns what containerd has called so far, as the plugins' log has it. */
function calls(): { plugin: string; verb: string; error?: unknown }[] {
  const lines = readFileSync(place.machine.path(LOG), "utf8").trim().split("\n")
  return lines.map((line) => JSON.parse(line))
}

test("a list of version 1.1.0: every plugin is asked for its STATUS, and has nothing to say against it", () => {
  expect(isReady()).toBe(true)
  const answers = calls().filter(({ verb }) => verb === "STATUS")
  expect(new Set(answers.map(({ plugin }) => plugin))).toEqual(new Set(SMALL.plugins.map(({ type }) => type)))
  expect(answers.filter(({ error }) => error)).toEqual([])
})

test("a node without a free address stays ready, and its pods are made anew", async () => {
  const web = { port_mappings: [{ container_port: 8080, host_port: 18080 }] }
  const [first, second] = [await cri.runPod(web), await cri.runPod()]
  const refused = await cri.tryPod()
  expect(refused.stderr).toContain("10.244.1.2-10.244.1.3")
  expect(isReady()).toBe(true)
  const addresses = first.addresses()
  first.stop()
  first.remove()
  const again = await cri.runPod(web)
  expect(again.addresses()).toEqual(addresses)
  expect(second.view().pings(`${again.addresses()[0]}`)).toBe(true)
  expect(place.neighbour.run(...BASH, ASK, HERE.ipv4, "18080").stdout).toContain(THERE.ipv4)
  expect(isReady()).toBe(true)
})

test("containerd is killed and started again: the node is ready, and its pods live on", async () => {
  const pods = [await cri.runPod(), await cri.runPod()]
  const addresses = pods.map((pod) => pod.addresses())
  await startAgain()
  expect(pods.map((pod) => pod.addresses())).toEqual(addresses)
  expect(pods[0]?.view().pings(`${addresses[1]?.[0]}`)).toBe(true)
})

test("containerd calls ADD, DEL and STATUS, and no GC, also when it starts again beside a pod", async () => {
  const [kept, gone] = [await cri.runPod(), await cri.runPod()]
  gone.stop()
  gone.remove()
  await startAgain()
  expect(isReady()).toBe(true)
  expect(kept.addresses()).toHaveLength(1)
  expect([...new Set(calls().map(({ verb }) => verb))].sort()).toEqual(["ADD", "DEL", "STATUS"])
})
