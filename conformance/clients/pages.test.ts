import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { binDirectory } from "../lab/executables.ts"
import type { Machine } from "../lab/machine.ts"
import { blocksOf } from "../lab/page.ts"
import { BASH, output } from "../lab/run.ts"
import { ROOT } from "../systems/install/directories.ts"
import { startCri } from "./containerd.ts"
import { Nerdctl } from "./nerdctl.ts"
import { IMAGE, PROGRAMS, startMachine, write } from "./place.ts"
import { Podman } from "./podman.ts"

const PAGE = "docs/clients.md"
const ALL_BACK = "3 packets transmitted, 3 packets received, 0% packet loss"

/** The image that the page names, which a test cannot fetch. */
const PAGES_IMAGE = "docker.io/library/busybox:1.37"

/** Makes the machine one of a reader's: no plugins, a checkout of the sources in which the executables were built, and packages that are there. */
function prepareReader(machine: Machine): void {
  rmSync(machine.path("/opt/cni/bin"), { recursive: true })
  output(["mkdir", "-p", machine.path("/root/cni-ts/dist"), machine.path("/root/cni-ts/scripts")])
  output(["cp", "-a", binDirectory(), machine.path("/root/cni-ts/dist/bin")])
  output(["cp", join(ROOT, "scripts/install"), machine.path("/root/cni-ts/scripts/")])
  for (const applet of ["dirname", "grep", "mkdir", "nsenter", "ping", "sed", "sh"])
    output(["ln", "-sf", "busybox", machine.path(`/usr/bin/${applet}`)])
  write(machine, "/usr/bin/apt-get", "#!/bin/sh\n")
  output(["chmod", "+x", machine.path("/usr/bin/apt-get")])
}

/** Types commands as they stand, each after the other whatever comes of it, as a reader would; returns what is printed. */
async function type(machine: Machine, commands: readonly string[], before = ""): Promise<string> {
  const script = `cd /root/cni-ts\n${before}\n${commands.join("")}`
  const { stdout, stderr } = await machine.runAsync([...BASH, script], { env: PROGRAMS })
  return stdout + stderr
}

test("podman, as the page says: two containers ping each other", async () => {
  await using podman = await Podman.start()
  podman.do("tag", IMAGE, PAGES_IMAGE)
  prepareReader(podman.machine)
  const conf = podman.machine.path("/etc/containers/containers.conf")
  const [others = ""] = readFileSync(conf, "utf8").split("[network]")
  writeFileSync(conf, others) // the rest is what the page adds
  const printed = await type(podman.machine, blocksOf(PAGE, "podman"))
  expect(printed).toMatch(/^cni$/m)
  expect(printed).toContain(ALL_BACK)
  expect([podman.do("ps", "-aq"), podman.leases()]).toEqual(["", []])
})

test("nerdctl, as the page says: two containers ping each other", async () => {
  await using nerdctl = await Nerdctl.start()
  prepareReader(nerdctl.machine)
  nerdctl.do("tag", IMAGE, PAGES_IMAGE)
  // Containers' control groups are the machine's, so that they go with it.
  const withGroup = `nerdctl() { if [ "$1" = run ]; then set -- run ${nerdctl.always} "\${@:2}"; fi; command nerdctl "$@"; }`
  const printed = await type(nerdctl.machine, blocksOf(PAGE, "nerdctl"), withGroup)
  expect(printed).toContain(ALL_BACK)
  expect([nerdctl.do("ps", "-aq"), nerdctl.leases()]).toEqual(["", []])
})

test("plain containerd, as its page says: two pods ping each other", async () => {
  const page = "docs/containerd.md"
  const place = await startMachine()
  const { machine } = place
  try {
    await startCri(place, "10-podnet.conflist", blocksOf(page, "2. The network", "json").join(""))
    prepareReader(machine)
    output(machine.inside(["/root/cni-ts/dist/bin/cni-ts", "install"]))
    const [pod = ""] = blocksOf(page, "3. Two pods", "json")
    write(
      machine,
      "/root/cni-ts/pod.json",
      pod.replace('"linux": {}', `"linux": { "cgroup_parent": "${machine.cgroup}" }`),
    )
    const printed = await type(machine, [...blocksOf(page, "2. The network"), ...blocksOf(page, "3. Two pods")])
    expect(printed).toMatch(/"lastCNILoadStatus": "OK"/)
    expect(printed.match(/ 0% packet loss/g)).toHaveLength(2)
    expect(printed.match(/^Removed sandbox/gm)).toHaveLength(2)
  } finally {
    await machine[Symbol.asyncDispose]()
    place.node[Symbol.dispose]()
  }
})
