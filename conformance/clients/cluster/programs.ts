import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** The directory of what `prepare` builds. */
export const PROGRAM_DIRECTORY = resolve(fileURLToPath(import.meta.url), "../../../../.cache/clients-cluster")

export type Program =
  | "etcd"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "kubectl"
  | "kubelet"
  | "multus"

export function program(name: Program): string {
  return join(PROGRAM_DIRECTORY, name)
}
