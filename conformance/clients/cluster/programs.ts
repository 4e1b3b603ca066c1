import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** The directory of what `prepare` builds. */
export const PROGRAM_DIRECTORY = resolve(fileURLToPath(import.meta.url), "../../../../.cache/clients-cluster")

export function program(name: "etcd" | "kube-apiserver" | "kubelet" | "multus"): string {
  return join(PROGRAM_DIRECTORY, name)
}
