import { Failures } from "../../lib/cni/failures.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { readSurvivors } from "../../lib/cni/valid-attachments.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { removeLink } from "../../lib/netlink/route/link.ts"
import { listStaleIfbs } from "./ifb.ts"

/** Removes this network's ifbs that belong to no attachment the runtime knows. Those of the Go plugin do not say whose they are, and stay. */
export function gc(call: Call): void {
  const { config, log } = call
  const { owners, reason } = readSurvivors(call)
  const failures = new Failures()
  using host = NetworkStack.host()
  for (const { index, name, alias } of listStaleIfbs(host, config.name, owners)) {
    failures.attempt(() => {
      if (removeLink(host.kernel, index)) log.removed(`${name} (${JSON.stringify(alias)})`, reason)
    })
  }
  failures.rethrow()
}
