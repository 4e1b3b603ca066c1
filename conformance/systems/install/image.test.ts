import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { GenericContainer, Wait } from "testcontainers"
import { afterAll, expect, test } from "vitest"
import { imageName } from "../../../build/image.ts"
import { ownArchitecture } from "../../../build/toolchain.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Machine } from "../../lab/machine.ts"
import { Node } from "../../lab/node.ts"
import { output, run } from "../../lab/run.ts"
import { Containerd } from "../containerd/containerd.ts"
import { PROGRAMS } from "../containerd/programs.ts"
import { startDocker } from "../nodes/cluster.ts"
import { ROOT } from "./directories.ts"

const top = mkdtempSync(join(tmpdir(), "cnits-image-"))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
const archive = join(top, `dist/cni-ts-${version}-linux-${ownArchitecture()}-image.tar`)
await promisify(execFile)(join(ROOT, "node_modules/.bin/tsx"), [join(ROOT, "build/dist.ts"), join(top, "dist")])

/** A node's plugin directory with a Go plugin in it. */
function pluginDirectory(name: string): string {
  const directory = join(top, name)
  mkdirSync(directory)
  writeFileSync(join(directory, "bridge"), "go\n")
  return directory
}

function expectInstalled(directory: string): void {
  expect(readdirSync(directory).sort()).toEqual([".cni-ts", ...readdirSync(binDirectory())].sort())
  expect(readFileSync(join(directory, ".cni-ts/replaced/bridge"), "utf8")).toBe("go\n")
  expect(run(["cmp", join(directory, "bridge"), join(binDirectory(), "bridge")])).toMatchObject({ exitCode: 0 })
}

test("the image holds the executable under its names, and the licenses, and nothing else", () => {
  const extracted = join(top, "extracted")
  mkdirSync(extracted)
  output(["tar", "-C", extracted, "-xf", archive])
  const [{ Layers }] = JSON.parse(readFileSync(join(extracted, "manifest.json"), "utf8"))
  const files = output(["tar", "-tf", join(extracted, Layers[0])])
    .trim()
    .split("\n")
    .sort()
  const executables = readdirSync(binDirectory()).map((name) => `bin/${name}`)
  expect(files).toEqual(["LICENSE", "LICENSE-musl", "LICENSE-quickjs-ng", "bin/", ...executables].sort())
})

test("containerd imports the image, and a container of it installs into the node's directory and takes back", async () => {
  using network = new Node()
  await using machine = await Machine.start(network)
  await Containerd.start(machine, network.dir, binDirectory(), {
    cniVersion: "1.0.0",
    name: "none",
    plugins: [{ type: "loopback" }],
  })
  const ctr = (...args: string[]) => output(machine.inside(["ctr", "-n", "k8s.io", ...args]), { env: PROGRAMS })
  ctr("images", "import", "--all-platforms", "--digests", archive) // as kind does
  const directory = pluginDirectory("containerd")
  const mount = ["--mount", `type=bind,src=${directory},dst=/opt/cni/bin,options=rbind:rw`]
  const container = (name: string, ...command: string[]) =>
    ctr("run", "--rm", "--cgroup", `${machine.cgroup}/${name}`, ...mount, imageName(version), name, ...command)
  container("install")
  expectInstalled(directory)
  container("uninstall", "/bin/cni-ts", "uninstall", "/opt/cni/bin")
  expect(readdirSync(directory)).toEqual(["bridge"])
})

test("Docker loads the image, and a container of it without any capability installs into the node's directory", async () => {
  await using docker = await startDocker()
  output(docker.machine.inside(["docker", "-H", process.env["DOCKER_HOST"] ?? "", "load", "-i", archive]), {
    env: PROGRAMS,
  })
  const directory = pluginDirectory("docker")
  const container = await new GenericContainer(imageName(version))
    .withBindMounts([{ source: directory, target: "/opt/cni/bin" }])
    .withDroppedCapabilities("ALL")
    .withNetworkMode("none")
    .withWaitStrategy(Wait.forOneShotStartup())
    .start()
  await container.stop()
  expectInstalled(directory)
})
