import { execFile } from "node:child_process"
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { makeImage } from "../../../build/image.ts"
import { ownArchitecture } from "../../../build/toolchain.ts"
import { ask } from "../../lab/echo.ts"
import { binDirectory } from "../../lab/executables.ts"
import { blocksOf } from "../../lab/page.ts"
import { output, run } from "../../lab/run.ts"
import { ROOT } from "../../systems/install/directories.ts"
import { HERE, THERE, write } from "../place.ts"
import { Cluster } from "./cluster.ts"
import type { Answer } from "./control-plane.ts"
import { eventually, podSpec } from "./kubelet.ts"

const COLLECTIONS: Readonly<Record<string, string>> = {
  ConfigMap: "/api/v1/namespaces/kube-system/configmaps",
  DaemonSet: "/apis/apps/v1/namespaces/kube-system/daemonsets",
}

/** Go plugins that are on the node: those of the manifest's network. */
const BEFORE = ["bandwidth", "bridge", "host-local", "loopback", "portmap"]

/** The length of the end of executables of ours, by which the installer knows them: `cni-ts build` and a digest. */
const MARK_LENGTH = 77

const top = mkdtempSync(join(tmpdir(), "cnits-manifests-"))
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
const archive = join(top, `dist/cni-ts-${version}-linux-${ownArchitecture()}-image.tar`)
const next = { archive: join(top, "next.tar"), bin: join(top, "next/bin") }

let cluster: Cluster
let plugins: string

beforeAll(async () => {
  await promisify(execFile)(join(ROOT, "node_modules/.bin/tsx"), [join(ROOT, "build/dist.ts"), join(top, "dist")])
  packNext()
})

afterAll(() => rmSync(top, { recursive: true, force: true }))

/** Makes the image of a next version, whose executables differ. */
function packNext(): void {
  for (const name of ["archive", "next", "scratch"]) mkdirSync(join(top, name))
  output(["tar", "-C", join(top, "archive"), "-xf", archive])
  const [{ Layers }] = JSON.parse(readFileSync(join(top, "archive/manifest.json"), "utf8"))
  output(["tar", "-C", join(top, "next"), "-xf", join(top, "archive", Layers[0])])
  const plugin = join(next.bin, "bridge")
  appendFileSync(plugin, readFileSync(plugin).subarray(-MARK_LENGTH)) // and so to each of its names
  const pack = (file: string, directory: string) =>
    void output(["tar", "-C", directory, "-cf", file, ...readdirSync(directory)])
  const image = { version: "0.2.0", architecture: ownArchitecture(), root: join(top, "next"), pack }
  makeImage(image, join(top, "scratch"), next.archive)
}

/** Starts a cluster whose node has the Go plugins and no network. */
beforeAll(async () => {
  cluster = await Cluster.start(undefined, ({ machine }) => {
    plugins = machine.path("/opt/cni/bin")
    for (const name of readdirSync(plugins)) rmSync(join(plugins, name))
    for (const name of BEFORE) output(["cp", join(binDirectory("reference"), name), plugins])
    for (const file of [archive, next.archive]) output(["cp", file, machine.path("/root/")])
  })
  for (const file of [archive, next.archive]) cluster.kubelet.import(file.replace(/.*\//, "/root/"))
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

/** Types what the page says below a heading; returns what comes of it. */
function followPage(heading: string): Promise<string> {
  return cluster.type(blocksOf("docs/kubernetes.md", heading).join(""))
}

/** The objects of a manifest: what it says, and what kind each is of. */
function objectsOf(manifest: string): { kind: string; yaml: string }[] {
  const documents = readFileSync(join(ROOT, "deploy", manifest), "utf8").split(/^---$/m)
  return documents.map((yaml) => ({ kind: /^kind: (\w+)$/m.exec(yaml)?.[1] ?? "", yaml }))
}

/** Has the API server check an object and complete it, without making it. Strictly: an unknown or repeated field is an error. */
function dryRun({ kind, yaml }: { kind: string; yaml: string }): Answer {
  return cluster.plane.post(`${COLLECTIONS[kind]}?dryRun=All&fieldValidation=Strict`, yaml)
}

/** Expects the executables of a directory under all their names, and the Go plugins kept. */
function expectInstalled(bin = binDirectory()): void {
  expect(readdirSync(plugins).sort()).toEqual([".cni-ts", ...readdirSync(binDirectory())].sort())
  expectSame("bridge", bin)
  for (const name of BEFORE) expectSame(`.cni-ts/replaced/${name}`, binDirectory("reference"))
}

/** Expects the node's file to be the one of that name in another directory. */
function expectSame(file: string, directory: string): void {
  expect(run(["cmp", join(plugins, file), join(directory, basename(file))])).toMatchObject({ exitCode: 0 })
}

/** Expects the Go plugins on the node, and nothing else. */
function expectBefore(): void {
  expect(readdirSync(plugins).sort()).toEqual(BEFORE)
  for (const name of BEFORE) expectSame(name, binDirectory("reference"))
}

/** Returns the pods of the DaemonSet; one that goes is among them until it is gone. */
function daemons(): Answer[] {
  return cluster.get("pods", "-n", "kube-system", "-l", "app.kubernetes.io/name=cni-ts").items
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

test("an overlay for another directory, with the patch for SELinux, as the page of nodes says: the API server accepts it", async () => {
  const page = "docs/nodes.md"
  const [overlay = ""] = blocksOf(page, "A manifest for another directory", "yaml")
  const [patch = ""] = blocksOf(page, "SELinux", "yaml")
  write(cluster.kubelet.place.machine, "/root/overlay/kustomization.yaml", overlay + patch.replace(/^/gm, "      "))
  const { spec } = JSON.parse(await cluster.type("kubectl apply -k overlay --dry-run=server --validate=strict -o json"))
  expect(spec.template.spec).toMatchObject({
    securityContext: { seLinuxOptions: { level: "s0" } },
    volumes: [{ hostPath: { path: "/var/snap/microk8s/current/opt/cni/bin" } }],
  })
})

test("daemonset.yaml on a node without a network: nothing comes, as its pod cannot start", async () => {
  const notReady = { status: "False", message: expect.stringContaining("NetworkPluginNotReady") }
  await eventually(() => expect(cluster.readiness()).toMatchObject(notReady))
  await cluster.type("kubectl apply -f deploy/daemonset.yaml")
  await eventually(() => {
    const events: { reason: string }[] = cluster.get("events", "-n", "kube-system").items
    expect(events.map(({ reason }) => reason)).toContain("NetworkNotReady")
  })
  expectBefore()
})

test("network.yaml instead, as the page says: plugins and network come, the node gets ready, and pods ping each other", async () => {
  await followPage("A cluster that has none")
  expectInstalled()
  await eventually(() => expect(cluster.readiness()).toMatchObject({ status: "True" }))
  expect(await followPage("See that it works")).toContain("3 packets received, 0% packet loss")
  cluster.apply({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "web" },
    spec: podSpec({ ports: [{ containerPort: 80, hostPort: 18080 }] }),
  })
  const { status } = await cluster.readyPod("web")
  expect(status.podIPs).toEqual([{ ip: expect.stringMatching(/^10\.244\.0\./) }])
  await eventually(() => expect(ask(cluster.kubelet.place.neighbour, HERE.ipv4, 18080)?.trim()).toBe(THERE.ipv4))
})

test("daemonset.yaml on a node with a network: what is missing comes back", async () => {
  rmSync(join(plugins, "tuning"))
  await followPage("A cluster that has a network")
  expectInstalled()
})

test("its pod has no capability, no network of the node's, and one directory of the node", async () => {
  const [{ spec, metadata }] = daemons()
  const { hostNetwork, hostPID, hostIPC, serviceAccountName, volumes } = spec
  expect([hostNetwork, hostPID, hostIPC, serviceAccountName]).toEqual(Array(4).fill(undefined))
  expect(volumes).toEqual([{ name: "plugins", hostPath: { path: "/opt/cni/bin", type: "DirectoryOrCreate" } }])
  const { kubelet } = cluster
  const sandbox = kubelet.sandbox(metadata.name)
  const pid = kubelet.containerPid(sandbox, "idle")
  const process = await cluster.type(`cat /proc/${pid}/status`)
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
    expect(process).toMatch(`${set}:\t0000000000000000\n`)
  expect(process).toMatch("NoNewPrivs:\t1\n")
  expect(
    kubelet
      .view(sandbox)
      .ip("link", "show")
      .map(({ ifname }) => ifname),
  ).toEqual(["lo", "eth0"])
  expect(await cluster.type(`cat /proc/${pid}/mounts`)).not.toContain("/host/")
})

test("another version, as the page says: the plugins are its, and a pod that ran meanwhile still answers", async () => {
  await followPage("Another version")
  expectInstalled(next.bin)
  expect(ask(cluster.kubelet.place.neighbour, HERE.ipv4, 18080)?.trim()).toBe(THERE.ipv4)
})

test("the way back, as the page says: what was there before is there again, and no pod is left", async () => {
  await cluster.type("kubectl delete pod web --now")
  await followPage("The way back")
  expectBefore()
  await eventually(() => expect(daemons()).toEqual([]))
})
