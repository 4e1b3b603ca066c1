import type { ChainedCheckContext } from "../../lib/attachment/chained-plugin.ts"
import { changed } from "../../lib/cni/errors.ts"
import type { Result } from "../../lib/cni/result.ts"
import type { PortmapConfig } from "./config.ts"
import { findDifference } from "./hostport/verify.ts"
import { planPodMappings } from "./pod-mappings.ts"

const ADVICE =
  "if something emptied the ruleset, as a firewall does that is loaded anew, an ADD for any pod brings the shared chains back and one for this pod its rules"

/** Returns if the attachment's rules exist, each once, and packets reach them; throws the first difference. */
export function check({ call, config, attachment, host }: ChainedCheckContext<PortmapConfig>, result: Result): void {
  const any = config.backend ?? "iptables" // of whichever backend the rules turn out to be
  for (const wanted of planPodMappings(call, config, result, any)) {
    const difference = findDifference(host, attachment, config, wanted)
    if (difference) throw changed(difference, ADVICE)
  }
}
