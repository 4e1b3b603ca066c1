import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { ownArchitecture } from "../../../build/toolchain.ts"
import { ask } from "../../lab/echo.ts"
import { binDirectory } from "../../lab/executables.ts"
import { output, run } from "../../lab/run.ts"
import { ROOT } from "../../systems/install/directories.ts"
import { HERE, THERE, write } from "../place.ts"
import { type Answer, ControlPlane } from "./control-plane.ts"
import { eventually, KubeletNode, NODE, podSpec } from "./kubelet.ts"

const PODS = "/api/v1/namespaces/kube-system/pods"
const COLLECTIONS: Readonly<Record<string, string>> = {
  ConfigMap: "/api/v1/namespaces/kube-system/configmaps",
  DaemonSet: "/apis/apps/v1/namespaces/kube-system/daemonsets",
}

const top = mkdtempSync(join(tmpdir(), "cnits-manifests-"))
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
const archive = join(top, `dist/cni-ts-${version}-linux-${ownArchitecture()}-image.tar`)

let kubelet: KubeletNode
let plane: ControlPlane

beforeAll(async () => {
  await promisify(execFile)(join(ROOT, "node_modules/.bin/tsx"), [join(ROOT, "build/dist.ts"), join(top, "dist")])
})

afterAll(() => rmSync(top, { recursive: true, force: true }))

/** Starts a cluster of one node, whose plugin directory is empty and which has no network. */
beforeAll(async () => {
  kubelet = await KubeletNode.start(
    undefined,
    ["--kubeconfig=/var/lib/kubelet/kubeconfig"],
    async ({ node, machine }) => {
      plane = await ControlPlane.start(node)
      output(["rm", "-r", machine.path("/opt/cni/bin")])
      output(["cp", archive, machine.path("/cni-ts.tar")])
      write(machine, "/var/lib/kubelet/kubeconfig", plane.kubeconfig())
    },
  )
  kubelet.import("/cni-ts.tar")
})

afterAll(async () => {
  await plane?.[Symbol.asyncDispose]()
  await kubelet?.[Symbol.asyncDispose]()
})

/** The objects of a manifest: what it says, and what kind each is of. */
function objectsOf(manifest: string): { kind: string; yaml: string }[] {
  const documents = readFileSync(join(ROOT, "deploy", manifest), "utf8").split(/^---$/m)
  return documents.map((yaml) => ({ kind: /^kind: (\w+)$/m.exec(yaml)?.[1] ?? "", yaml }))
}

/** Has the API server check an object and complete it, without making it. Strictly: an unknown or repeated field is an error. */
function dryRun({ kind, yaml }: { kind: string; yaml: string }): Answer {
  return plane.post(`${COLLECTIONS[kind]}?dryRun=All&fieldValidation=Strict`, yaml)
}

/** Makes the pod that the DaemonSet of a manifest would make on the node: nobody here acts on DaemonSets. */
function runPodOf(manifest: string, name: string): void {
  const daemonSet = objectsOf(manifest).find(({ kind }) => kind === "DaemonSet")
  const { spec, metadata } = dryRun(daemonSet ?? { kind: "", yaml: "" }).spec.template
  makePod(PODS, name, { ...spec, nodeName: NODE }, metadata)
}

function makePod(collection: string, name: string, spec: object, metadata: object = {}): void {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name }, spec }
  expect(plane.post(`${collection}?fieldValidation=Strict`, JSON.stringify(pod))).toMatchObject({ kind: "Pod" })
}

/** Returns a pod's status as soon as it is ready. */
function ready(collection: string, name: string): Promise<Answer> {
  return eventually(() => {
    const { status } = plane.get(`${collection}/${name}`)
    const conditions: { type: string; status: string }[] = status.conditions ?? []
    if (!conditions.some((condition) => condition.type === "Ready" && condition.status === "True"))
      throw new Error(`${name}: ${JSON.stringify(status)}`)
    return status
  })
}

/** Returns whether the node is ready, as it says itself, and why. */
function readiness(): Answer {
  const conditions: { type: string }[] = plane.get(`/api/v1/nodes/${NODE}`).status.conditions ?? []
  return conditions.find(({ type }) => type === "Ready")
}

function expectInstalled(): void {
  const directory = kubelet.place.machine.path("/opt/cni/bin")
  expect(readdirSync(directory).sort()).toEqual([".cni-ts", ...readdirSync(binDirectory())].sort())
  expect(run(["cmp", join(directory, "bridge"), join(binDirectory(), "bridge")])).toMatchObject({ exitCode: 0 })
}

describe.each(["daemonset.yaml", "network.yaml"])("deploy/%s", (manifest) => {
  test("the API server accepts every object, strictly", () => {
    for (const object of objectsOf(manifest)) expect(dryRun(object)).toMatchObject({ kind: object.kind })
  })

  test("the API server would notice a field that is not one", () => {
    const [object = { kind: "", yaml: "" }] = objectsOf(manifest).filter(({ kind }) => kind === "DaemonSet")
    const yaml = object.yaml.replace("hostPath:", "hostpath:")
    expect(dryRun({ ...object, yaml })).toMatchObject({ kind: "Status", status: "Failure" })
  })
})

test("network.yaml on a node without plugins and network: both come, the node gets ready, and a pod runs", async () => {
  const notReady = { status: "False", message: expect.stringContaining("NetworkPluginNotReady") }
  await eventually(() => expect(readiness()).toMatchObject(notReady))
  for (const { kind, yaml } of objectsOf("network.yaml"))
    if (kind === "ConfigMap") expect(plane.post(`${COLLECTIONS[kind]}`, yaml)).toMatchObject({ kind })
  runPodOf("network.yaml", "network")
  await ready(PODS, "network")
  expectInstalled()
  await eventually(() => expect(readiness()).toMatchObject({ status: "True" }))

  const pods = "/api/v1/namespaces/default/pods"
  makePod(pods, "web", { ...podSpec({ ports: [{ containerPort: 80, hostPort: 18080 }] }), nodeName: NODE })
  const { podIPs } = await ready(pods, "web")
  expect(podIPs).toEqual([{ ip: expect.stringMatching(/^10\.244\.0\./) }])
  await eventually(() => expect(ask(kubelet.place.neighbour, HERE.ipv4, 18080)?.trim()).toBe(THERE.ipv4))
  plane.delete(`${pods}/web`)
})

test("daemonset.yaml on a node with a network: its pod, which has none of the node's privileges, installs", async () => {
  output(["rm", kubelet.place.machine.path("/opt/cni/bin/tuning")])
  runPodOf("daemonset.yaml", "daemonset")
  await ready(PODS, "daemonset")
  expectInstalled()
})
