import type { Call } from "../../lib/cni/plugin.ts"
import { readSurvivors } from "../../lib/cni/valid-attachments.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { forgetFlowsOf } from "./flows.ts"
import { collectHostports } from "./hostport/hostports.ts"

/** Removes this network's rules that belong to no attachment the runtime knows. Those of the Go plugin do not say whose they are. */
export function gc(call: Call): void {
  const { config, log } = call
  const { owners, reason } = readSurvivors(call)
  using host = NetworkStack.host()
  const said = new Set<string>()
  for (const removed of collectHostports(host, config.name, owners)) {
    for (const pod of new Set(removed.map(({ comment, note }) => `${comment} (${note})`))) {
      if (!said.has(pod)) log.removed(`host ports of ${pod}`, reason)
      said.add(pod)
    }
    forgetFlowsOf(host, removed)
  }
}
