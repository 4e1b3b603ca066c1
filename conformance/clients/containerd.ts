import { spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { join } from "node:path"
import { type Place, PROGRAMS } from "./place.ts"

/** The plugins' log of what containerd has called. */
export const LOG = "/var/lib/cni-ts.log"

/** Starts containerd 2.2 with the configuration in /etc/containerd. It ends with its machine. */
export function startContainerd({ node, machine }: Place): void {
  const log = openSync(join(node.dir, "containerd.log"), "a")
  const [program = "", ...args] = machine.inside(["containerd"])
  spawn(program, args, { env: { ...PROGRAMS, CNI_TS_LOG: LOG }, stdio: ["ignore", log, log] })
  closeSync(log)
}
