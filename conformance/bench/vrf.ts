import type { OnLink } from "./linked.ts"
import { SBR } from "./sbr.ts"

/** A VRF of its own for an interface with an address and a route. */
export const VRF: OnLink = {
  ...SBR,
  config: ({ namespace }) => ({
    cniVersion: "1.0.0",
    name: "blue",
    type: "vrf",
    vrfname: "blue",
    prevResult: { cniVersion: "1.0.0", interfaces: [{ name: "eth0", sandbox: namespace.path }] },
  }),
}
