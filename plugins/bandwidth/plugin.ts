import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import type { Failures } from "../../lib/cni/failures.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { atLeast, versions } from "../../lib/cni/version.ts"
import type { NetworkStack } from "../../lib/net/stack.ts"
import { removeLink } from "../../lib/netlink/route/link.ts"
import { add } from "./add.ts"
import { check } from "./check.ts"
import { readBandwidthConfig } from "./config.ts"
import { listStaleIfbs, removeIfbs } from "./ifb.ts"
import { readTicks } from "./shaping.ts"
import { takeBack } from "./take-back.ts"

/** Limits what a pod receives and sends. Chained after a plugin that made a veth pair; older results have no room for its interfaces. */
export const bandwidth = chainedPlugin({
  name: "bandwidth",
  versions: versions.filter((version) => atLeast(version, "0.3.0")),
  behind: "bridge or ptp",
  readConfig: ({ fields }) => readBandwidthConfig(fields),
  isIdle: ({ ingress, egress }) => !ingress && !egress,
  add,
  check,
  status: () => void readTicks(),
  remove: removeIfbs, // what hangs on the host veth goes with the veth
  collect,
  takeBack,
})

/** Removes stale ifbs. Those of the Go plugin do not say whose they are, and stay. */
function collect(host: NetworkStack, { config, log }: Call, survivors: Survivors, failures: Failures): void {
  const { attachments, reason } = survivors
  for (const { index, name, alias } of listStaleIfbs(host, config.name, attachments)) {
    failures.attempt(() => {
      if (removeLink(host.rtnetlink, index)) log.removed(`${name} (${JSON.stringify(alias)})`, reason)
    })
  }
}
