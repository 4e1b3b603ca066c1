import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { GenericContainer } from "testcontainers"
import { binDirectory } from "../../lab/executables.ts"
import { output } from "../../lab/run.ts"
import { CACHE, containerdConfig, PAUSE_ARCHIVE } from "../containerd/programs.ts"

export const IMAGE = "cni-ts.test/node:1"

/** The PATH on a node. */
export const NODE_PROGRAMS = "/opt/node/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const PROGRAMS = ["bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr", "bin/crictl", "sbin/runc"]

/**
 * Builds the nodes' image from nothing: containerd with its configuration, the pods' image, our plugins in
 * /opt/cni/bin and beside them, for the tests that swap them, the Go plugins. What else a node has, such as a
 * shell and iptables, is this machine's own /usr, mounted.
 */
export async function buildImage(directory: string): Promise<void> {
  const root = join(directory, "root")
  for (const empty of [
    "proc",
    "sys",
    "dev",
    "tmp",
    "run",
    "var/lib",
    "usr",
    "etc/containerd",
    "etc/cni/net.d",
    "root",
    "opt/cni/bin",
    "opt/node/bin",
  ])
    mkdirSync(join(root, empty), { recursive: true })
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(root, name))
  symlinkSync("../run", join(root, "var/run"))
  mkdirSync(join(directory, "context"))
  for (const program of PROGRAMS) output(["cp", join(CACHE, "root/usr", program), join(root, "opt/node/bin")])
  cpSync(PAUSE_ARCHIVE, join(root, "opt/node/pause.tar"))
  cpSync(fileURLToPath(new URL("entrypoint", import.meta.url)), join(root, "opt/node/entrypoint"))
  output(["cp", "-a", `${binDirectory("ours")}/.`, join(root, "opt/cni/ours")])
  output(["cp", "-a", `${binDirectory("reference")}/.`, join(root, "opt/cni/reference")])
  writeFileSync(join(root, "etc/containerd/config.toml"), containerdConfig("/opt/cni/bin", "/etc/cni/net.d"))
  writeFileSync(join(root, "etc/hosts"), "")
  output(["tar", "-C", root, "--owner=0", "--group=0", "-cf", join(directory, "context/root.tar"), "."])
  writeFileSync(
    join(directory, "context/Dockerfile"),
    'FROM scratch\nADD root.tar /\nENTRYPOINT ["/opt/node/entrypoint"]\n',
  )
  await GenericContainer.fromDockerfile(join(directory, "context")).build(IMAGE, { deleteOnExit: false })
}
