import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeEach, expect, test } from "vitest"
import { binDirectory } from "../../lab/executables.ts"
import { blocksOf } from "../../lab/page.ts"
import { BASH, type Finished, run } from "../../lab/run.ts"
import { ROOT } from "../install/directories.ts"

/** A directory with kind itself, a Docker whose nodes, once there are $NODES, have no log to show, and a kubectl that nobody asks. */
const top = mkdtempSync(join(tmpdir(), "cnits-kind-"))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const DOCKER = `#!/bin/sh
echo "$*" >>${top}/log
case "$1" in
  -v) echo "Docker version 28.0.0, build 0" ;;
  info) echo '{"CgroupDriver":"systemd","CgroupVersion":"2","MemoryLimit":true,"PidsLimit":true,"CPUShares":true}' ;;
  network) echo 1 ;;
  ps | inspect | run) ;;
  logs) while [ "$(grep -c "^run " ${top}/log)" -lt "$NODES" ]; do sleep 0.05; done; exit 1 ;;
  *) exit 1 ;;
esac
`

mkdirSync(join(top, "bin"))
symlinkSync(join(binDirectory("reference"), "kind"), join(top, "bin/kind"))
writeFileSync(join(top, "bin/docker"), DOCKER, { mode: 0o755 })
writeFileSync(join(top, "bin/kubectl"), `#!/bin/sh\necho kubectl >>${top}/log\n`, { mode: 0o755 })
const env = { PATH: `${top}/bin:/usr/sbin:/usr/bin:/sbin:/bin`, HOME: top }

const log = () => readFileSync(join(top, "log"), "utf8").trimEnd().split("\n")
beforeEach(() => writeFileSync(join(top, "log"), ""))

function create(...args: string[]): Finished {
  return run([join(ROOT, "scripts/kind/create"), ...args, "--", "--image", "node:1"], { env: { ...env, NODES: "3" } })
}

const listens = { ipv4: "127.0.0.1", ipv6: "[::1]", dual: "127.0.0.1" }

test.each(["ipv4", "ipv6", "dual"] as const)("kind reads what create writes for %s, and starts its nodes", (family) => {
  const { exitCode, stderr } = create("--name", "lab", "--workers", "2", "--ip-family", family)
  const started = log().filter((line) => line.startsWith("run "))
  const names = started.map((line) => / --name (\S+)/.exec(line)?.[1])
  expect(names.sort()).toEqual(["lab-control-plane", "lab-worker", "lab-worker2"])
  expect(started.find((line) => line.includes("control-plane"))).toContain(`--publish=${listens[family]}:`)
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining("docker logs -f lab-") })
  expect(log()).not.toContain("kubectl")
})

test("kind reads the page's configuration of a node, and starts it", () => {
  const [block = ""] = blocksOf("docs/kind.md", "A node on cni-ts, by a manifest")
  const [command = ""] = /^kind create .*$/m.exec(block) ?? []
  const { exitCode, stderr } = run([...BASH, `cd ${ROOT} && ${command}`], { env: { ...env, NODES: "1" } })
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringContaining("docker logs -f kind-control-plane"),
  })
  expect(log().filter((line) => line.startsWith("run "))).toHaveLength(1)
})

test("the page's two pods are those that are typed in a cluster", () => {
  const [, pods] = blocksOf("docs/kind.md", "A node on cni-ts, by a manifest")
  expect(pods).toBe(blocksOf("docs/kubernetes.md", "See that it works").join(""))
})

test("kind refuses a key that it does not know, so the others are read", () => {
  const config = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCni: true
`
  const refused = run([join(top, "bin/kind"), "create", "cluster", "--config", "-"], { env, stdin: config })
  expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("field disableDefaultCni not found") })
  expect(log().filter((line) => line.startsWith("run "))).toEqual([])
})
