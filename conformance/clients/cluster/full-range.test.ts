import { afterAll, beforeAll, expect, test } from "vitest"
import type { NetworkList } from "../../lab/cnitool.ts"
import { eventually, KubeletNode, podSpec } from "./kubelet.ts"

/** Two addresses for pods. containerd asks STATUS of every plugin of a list of this version. */
const SMALL: NetworkList = {
  cniVersion: "1.1.0",
  name: "small",
  plugins: [
    {
      type: "bridge",
      bridge: "cni0",
      isDefaultGateway: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.245.1.0/24", rangeStart: "10.245.1.2", rangeEnd: "10.245.1.3" }]],
      },
    },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
}

let kubelet: KubeletNode

beforeAll(async () => {
  kubelet = await KubeletNode.start(SMALL)
})

afterAll(() => kubelet?.[Symbol.asyncDispose]())

test("a node without a free address: its pods live on, a killed container is made anew, and a freed address is given", async () => {
  kubelet.writePod("one", podSpec())
  kubelet.writePod("two", podSpec())
  const addresses = [await kubelet.ready("one"), await kubelet.ready("two")].map(({ podIPs }) => podIPs?.[0]?.ip)
  expect(addresses.sort()).toEqual(["10.245.1.2", "10.245.1.3"])
  kubelet.writePod("three", podSpec())
  await eventually(() => expect(kubelet.logged("no IP addresses available in range set")).toBe(true))
  kubelet.kill(kubelet.containerPid(kubelet.sandbox("one-node1"), "answer"))
  await eventually(() => expect(kubelet.status("one")?.containerStatuses?.[0]?.restartCount).toBe(1))
  await kubelet.ready("one")
  const freed = kubelet.status("two")?.podIPs
  kubelet.removePods("two")
  expect((await kubelet.ready("three")).podIPs).toEqual(freed)
})
