import { mkdtempSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Finished, run } from "../../lab/run.ts"
import { PROGRAMS } from "../containerd/programs.ts"
import { ROOT } from "../install/directories.ts"
import type { Docker } from "./docker.ts"
import type { DockerNode } from "./docker-node.ts"

/** scripts/kind with a real Docker. Only `kind` itself is a stand-in: it knows the names of these nodes. */
export class KindScripts {
  readonly #bin: string

  constructor(docker: Docker, nodes: readonly DockerNode[]) {
    this.#bin = mkdtempSync(join(docker.network.dir, "kind-"))
    const list = nodes.map(({ name }) => `echo ${name}`).join("\n")
    writeFileSync(join(this.#bin, "kind"), `#!/bin/sh\n[ "$*" = "get nodes --name kind" ] || exit 1\n${list}\n`, {
      mode: 0o755,
    })
  }

  run(script: "swap" | "uninstall"): Finished {
    const env = {
      ...PROGRAMS,
      PATH: `${this.#bin}:${PROGRAMS.PATH}`,
      DOCKER_HOST: process.env["DOCKER_HOST"] ?? "",
      KIND_EXPERIMENTAL_PROVIDER: "docker",
    }
    return run([join(ROOT, "scripts/kind", script)], { env })
  }
}
