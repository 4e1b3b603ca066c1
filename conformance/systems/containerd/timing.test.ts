import { expect, test } from "vitest"
import { binDirectory } from "../../lab/executables.ts"
import { ClusterNode, PODNET } from "./cluster-node.ts"

const PODS = 6
const CALLS = ["RunPodSandbox", "StopPodSandbox", "RemovePodSandbox"]

/** Printed, never judged: what other work the machine has is not known here. */
test("a pod's calls take as long as printed here, with our plugins and with the Go plugins", async () => {
  await using ours = await ClusterNode.start(PODNET, () => binDirectory("ours"))
  await using reference = await ClusterNode.start(PODNET, () => binDirectory("reference"))
  for (let pod = 0; pod < PODS; pod++) for (const node of [ours, reference]) await comeAndGo(node)
  const [mine, theirs] = [durations(ours.containerd.log()), durations(reference.containerd.log())]
  for (const call of CALLS) {
    const [a, b] = [mine.get(call) ?? [], theirs.get(call) ?? []]
    expect([a.length, b.length]).toEqual([PODS, PODS])
    console.log(`${call}: cni-ts ${median(a)} ms, Go ${median(b)} ms, ratio ${(median(a) / median(b)).toFixed(2)}`)
  }
})

const AT_ONCE = 30

/**
 * As above; the time until a pod's call returns, of pods that are asked for at once. The node has had a pod before: the
 * Go plugins make their iptables chains with a node's first pod, and of several first pods that make them all but one fail.
 */
test(`${AT_ONCE} pods at once all come, as fast as printed here, with our plugins and with the Go plugins`, {
  timeout: 240_000,
}, async () => {
  for (const implementation of ["ours", "reference"] as const) {
    await using node = await ClusterNode.start(PODNET, () => binDirectory(implementation))
    await comeAndGo(node)
    const pods = await Promise.all(
      Array.from({ length: AT_ONCE }, (_, pod) =>
        node.containerd.runPod({ port_mappings: [{ container_port: 8080, host_port: 18_000 + pod }] }),
      ),
    )
    expect(new Set(pods.flatMap((pod) => pod.addresses())).size).toBe(2 * AT_ONCE)
    const taken = (durations(node.containerd.log()).get("RunPodSandbox") ?? []).slice(1)
    expect(taken).toHaveLength(AT_ONCE)
    console.log(
      `RunPodSandbox, ${AT_ONCE} at once, ${implementation}: ${median(taken)} ms, the slowest ${Math.round(Math.max(...taken))} ms`,
    )
  }
})

async function comeAndGo({ containerd }: ClusterNode): Promise<void> {
  const pod = await containerd.runPod({
    annotations: { "kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M" },
    port_mappings: [{ container_port: 8080, host_port: 18080 }],
  })
  pod.stop()
  pod.remove()
}

/** Milliseconds between the two lines that containerd logs around each call: without the client's own time. */
function durations(log: string): Map<string, number[]> {
  const began = new Map<string, number>()
  const taken = new Map<string, number[]>()
  for (const [, time = "", call = "", rest = ""] of log.matchAll(
    /^time="([^"]+)" level=info msg="(\w+PodSandbox) (.*)$/gm,
  )) {
    const [name = ""] = /Name:[^,]+/.exec(rest) ?? [] // of calls that overlap; those to stop and remove a pod do not, and have an id
    const since = began.get(call + name)
    if (!rest.includes(" returns ")) began.set(call + name, milliseconds(time))
    else if (since !== undefined) taken.set(call, [...(taken.get(call) ?? []), milliseconds(time) - since])
  }
  return taken
}

/** Of a time like 2026-11-24T02:34:04.037362757Z, within its day. */
function milliseconds(time: string): number {
  const [, hours, minutes, seconds] = /T(\d+):(\d+):([\d.]+)/.exec(time) ?? []
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000
}

function median(values: readonly number[]): number {
  return Math.round([...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN)
}
