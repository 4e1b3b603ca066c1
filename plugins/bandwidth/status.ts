import type { Call } from "../../lib/cni/plugin.ts"
import { orUnavailable } from "../../lib/cni/unavailable.ts"
import { readBandwidthConfig } from "./config.ts"
import { readTicks } from "./shaping.ts"

/** Returns if ADD can be served, as far as that can be known without a pod; throws code 50 with the reason if it cannot. */
export function status({ config }: Call): void {
  orUnavailable(() => {
    readBandwidthConfig(config.fields)
    readTicks()
  })
}
