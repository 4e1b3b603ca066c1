import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import { removeStaleLinks } from "../../lib/attachment/stale-links.ts"
import type { Failures } from "../../lib/cni/failures.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { atLeast, versions } from "../../lib/cni/version.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readBandwidthConfig } from "./config.ts"
import { listStaleIfbs, removeIfbs } from "./ifb.ts"
import { requireScheduler } from "./shaping.ts"
import { takeBack } from "./take-back.ts"

/** Limits what a pod receives and sends. Follows a plugin that made a veth pair, which results before 0.3.0 do not list. */
export const bandwidth = chainedPlugin({
  name: "bandwidth",
  versions: versions.filter((version) => atLeast(version, "0.3.0")),
  behind: "bridge or ptp",
  readConfig: ({ fields }) => readBandwidthConfig(fields),
  isIdle: ({ ingress, egress }) => !ingress && !egress,
  add,
  check,
  status: requireScheduler,
  remove: removeIfbs, // the limits on the host veth go with the veth
  collect,
  takeBack,
})

/** Removes stale ifbs. The Go plugin's do not tell whose they are and stay. */
function collect(host: NetworkStack, { config, log }: Call, survivors: Survivors, failures: Failures): void {
  const { attachments, reason } = survivors
  removeStaleLinks(host, listStaleIfbs(host, config.name, attachments), failures, ({ name, alias }) =>
    log.removed(`${name} (${JSON.stringify(alias)})`, reason),
  )
}
