/** The chains besides the administrator's, in iptables' table filter as in the table of our own. */
export const CHAIN = {
  /** Every forwarded packet's. */
  forward: "FORWARD",
  /** Two rules for each address of a pod. */
  pods: "CNI-FORWARD",
  /** Packets from bridges with a policy. */
  fromBridge: "CNI-ISOLATION-STAGE-1",
  /** Those of them that leave their bridge. */
  toBridge: "CNI-ISOLATION-STAGE-2",
} as const

/** Returns true if the plugin makes a chain of that name. */
export function isOwnChain(name: string): boolean {
  return name === CHAIN.pods || name === CHAIN.fromBridge || name === CHAIN.toBridge
}
