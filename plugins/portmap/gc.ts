import type { Call } from "../../lib/cni/plugin.ts"
import { readValidAttachments, reasonToCollect } from "../../lib/cni/result-read.ts"
import { collectHostports } from "../../lib/net/hostport/hostports.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { forgetFlowsOf } from "./flows.ts"

/** Removes this network's rules that belong to no attachment the runtime knows. Those of the Go plugin do not say whose they are. */
export function gc({ config, log }: Call): void {
  const { fields, name: network } = config
  const valid = readValidAttachments(fields).map((attachment) => ({ network, ...attachment }))
  using host = NetworkStack.host()
  const removed = collectHostports(host, network, valid)
  forgetFlowsOf(host, removed)
  const owners = new Set(removed.map(({ comment, note }) => `${comment} (${note})`))
  for (const owner of owners) log.removed(`host ports of ${owner}`, reasonToCollect(fields))
}
