import { cpSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Recorder, recordingIn, replay, tracesIn } from "../../cli/recorder.ts"
import { binDirectory } from "../../lab/executables.ts"
import { ClusterNode, PODNET } from "./cluster-node.ts"

let node: ClusterNode
let plugins: string

beforeAll(async () => {
  node = await ClusterNode.start(PODNET, (directory) => {
    plugins = join(directory, "bin")
    cpSync(binDirectory(), plugins, { recursive: true })
    return plugins
  })
  await node.settle()
})

afterAll(async () => {
  await node?.[Symbol.asyncDispose]()
})

const WISH = {
  annotations: { "kubernetes.io/ingress-bandwidth": "10M" },
  port_mappings: [{ container_port: 8080, host_port: 18080 }],
}

test("containerd's calls are recorded while pods come and go, change nothing for it, and are answered the same by replay", async () => {
  const recording = join(node.network.dir, "report")
  const stays = await node.containerd.runPod()
  const before = node.snapshot()
  const recorder = await Recorder.start(recording, plugins)
  const pod = await node.containerd.runPod(WISH)
  expect(pod.view().addresses("eth0")).toHaveLength(2)
  pod.stop()
  pod.remove()
  expect(node.snapshot()).toEqual(before)
  stays.stop()
  expect(await recorder.end()).toMatch(/: \d+ calls are recorded\n$/)
  expect(tracesIn(plugins)).toEqual([])
  const calls = [...recordingIn(recording).values()]
  const names = calls
    .filter(({ env }) => env["CNI_IFNAME"] === "eth0")
    .map(({ plugin, command }) => `${plugin}-${command}`)
  const ended = ["bandwidth-DEL", "portmap-DEL", "bridge-DEL", "host-local-DEL"]
  expect(names).toEqual(["bridge-ADD", "host-local-ADD", "portmap-ADD", "bandwidth-ADD", ...ended, ...ended, ...ended])
  expect(calls.map(({ answer }) => answer?.exitCode)).toEqual(calls.map(() => 0))
  expect(calls.map(({ env }) => env["CNI_ARGS"])).toContainEqual(expect.stringContaining("K8S_POD_NAMESPACE=default"))
  const { exitCode, stdout, stderr } = replay(recording, "--plugins", plugins)
  expect([exitCode, stderr], stdout).toEqual([0, ""])
  expect(stdout).toMatch(/^✓ 0\d+-bridge-ADD /m)
  expect(stdout).toMatch(/\n\d+ answered as recorded; 4 not replayed\n$/)
})
