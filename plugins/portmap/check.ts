import { ownerOf } from "../../lib/cni/attachment.ts"
import { requirePrevResult } from "../../lib/cni/config.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { readPortmapConfig } from "./config.ts"
import { findDifference } from "./hostport/verify.ts"
import { planPods } from "./pods.ts"

const ADVICE =
  "if something emptied the ruleset, as a firewall does that is loaded anew, an ADD for any pod brings the shared chains back and one for this pod its rules"

/** Returns if the attachment's rules are there, each once, and packets get to them; throws naming the first difference. */
export function check(call: Call): void {
  const config = readPortmapConfig(call.config)
  const result = requirePrevResult(call.config)
  if (config.mappings.length === 0) return
  using host = NetworkStack.host()
  for (const pod of planPods(call, config, result)) {
    const difference = findDifference(host, ownerOf(call), pod)
    if (difference) throw changed(difference, ADVICE)
  }
}
