import { afterAll, beforeAll, expect, test } from "vitest"
import { ClusterNode, PODNET } from "./cluster-node.ts"
import { RecordedPlugins } from "./plugins.ts"

let node: ClusterNode
let plugins: RecordedPlugins

beforeAll(async () => {
  node = await ClusterNode.start(PODNET, (directory) => {
    plugins = new RecordedPlugins(directory)
    return plugins.directory
  })
  await node.settle()
})

afterAll(async () => {
  await node?.[Symbol.asyncDispose]()
})

test.each(["bridge", "portmap", "bandwidth"])(
  "containerd killed while %s adds pods leaks nothing once it is back and its pods are removed",
  async (plugin) => {
    const { containerd } = node
    const before = node.snapshot()
    plugins.forget()
    const starting = [1, 2, 3, 4].map((i) =>
      containerd.tryPod({
        name: `${plugin}-${i}`,
        annotations: { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" },
        port_mappings: [{ container_port: 8080, host_port: 18080 + i }],
      }),
    )
    await plugins.added(plugin)
    await containerd.kill()
    await Promise.all(starting)
    node.removeTornMemory()
    await containerd.start()
    containerd.removePods()
    // Debian 13's containerd (1.7) forgets pods that it was making when it was killed, so that no DEL comes for them.
    if (plugins.abandoned().length > 0) node.collect()
    expect(node.snapshot()).toEqual(before)
  },
)
