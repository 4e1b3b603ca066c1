import { expect, test } from "vitest"
import { observe } from "../../faults/injection.ts"
import type { Step } from "../../faults/scene.ts"
import { stopAt } from "../../faults/stopped.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { hostDevice, isBack, plugInDevice } from "./network.ts"

test("of two pods that are given one device at the same time one gets it, wherever one ADD overtakes the other", async () => {
  using node = new Node()
  plugInDevice(node)
  const network = hostDevice(node)
  const pods = [node.pod(), node.pod()] as const
  const [step, later] = pods.map(
    (netns): Step => ({ plugin: "host-device", call: { command: "ADD", netns, config: network.config } }),
  ) as [Step, Step]
  const { points } = observe(node, step.plugin, step.call)
  network.del(pods[0])
  const changes = points.filter((point) => point.changes && point.name !== "exit_group")
  expect(changes.length).toBeGreaterThan(1)
  for (const point of changes) {
    const first = await stopAt(node, step, point)
    const outcomes = [node.call(later.plugin, later.call), await first.finish()]
    const won = outcomes.filter(({ exitCode }) => exitCode === 0)
    expect([won.length, outcomes.find(({ error }) => error)?.error?.code]).toEqual([1, 102])
    expect(pods.filter((pod: Pod) => pod.link("eth0"))).toHaveLength(1)
    for (const pod of pods) expect(network.del(pod)).toMatchObject({ exitCode: 0 })
    expect(isBack(node)).toBe(true)
  }
})
