import { Namespace } from "../lab/namespace.ts"
import { output } from "../lab/run.ts"

let made = 0
const living = new Set<Pod>()

/** A fresh network namespace, and what ADD answered for it. */
export class Pod implements Disposable {
  readonly containerId = `bench-pod-${++made}`
  readonly namespace = new Namespace(this.containerId)
  result: object | undefined

  constructor() {
    living.add(this)
  }

  [Symbol.dispose](): void {
    living.delete(this)
    this.namespace[Symbol.dispose]()
  }
}

/** Seconds that the kernel gets for the clean-up of removed namespaces. */
const CLEAN_UP = 3

/** Removes all pods that are there: what is measured next is not to pay for what was measured before. */
export function removePods(): void {
  if (living.size === 0) return
  for (const pod of living) pod[Symbol.dispose]()
  output(["sleep", String(CLEAN_UP)])
}
