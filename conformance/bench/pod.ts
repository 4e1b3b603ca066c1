import { Namespace } from "../lab/namespace.ts"

let made = 0

/** A fresh network namespace, and what ADD answered for it. */
export class Pod {
  readonly containerId = `bench-pod-${++made}`
  readonly namespace = new Namespace(this.containerId)
  result: object | undefined
}
