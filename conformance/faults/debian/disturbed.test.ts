import { expect, test } from "vitest"
import { fixed } from "../../plugins/ipvlan/network.ts"
import { OUTSIDE, plugIn } from "../../plugins/macvlan/network.ts"
import { trunk } from "../../plugins/vlan/network.ts"
import { failEverywhere } from "../error-matrix.ts"
import { killEverywhere } from "../kill-matrix.ts"
import { bridged, STATIC, type Subject, V4 } from "../subjects.ts"

/** An address without a lease: faults of its files are shown outside the VM. */
const ON_LAN = fixed("10.20.0.100/24")

/** The plugins whose links Debian's kernel has. It runs in a VM, slowly: only what changes something in the kernel is disturbed. */
const SUBJECTS: readonly Subject[] = [
  {
    name: "vlan",
    before: trunk,
    plugins: () => [{ type: "vlan", master: "uplink", vlanId: 5, ipam: ON_LAN }],
    reaches: OUTSIDE,
    livesInPod: true,
  },
  {
    name: "ipvlan",
    before: plugIn,
    plugins: () => [{ type: "ipvlan", master: "uplink", ipam: ON_LAN }],
    reaches: OUTSIDE,
    livesInPod: true,
  },
  { name: "dummy", plugins: () => [{ type: "dummy", ipam: STATIC }], livesInPod: true },
  { name: "vrf after bridge", first: 1, plugins: (node) => [bridged(node, V4), { type: "vrf", vrfname: "blue" }] },
]

const timeout = 600_000

test.each(SUBJECTS)(
  "$name: after an ADD or a DEL killed at any request that changes something, DEL, ADD and DEL, or GC leave the node as it was",
  { timeout },
  async (subject) => {
    for (const verb of ["ADD", "DEL"] as const) {
      const { points, failures } = await killEverywhere(subject, verb, "requests")
      expect(failures).toEqual([])
      expect(points, verb).toBeGreaterThan(0)
    }
  },
)

test.each(SUBJECTS)(
  "$name: ADD and DEL end in one answer, and ADD leaves nothing, whichever of those requests fails",
  { timeout },
  async (subject) => {
    for (const verb of ["ADD", "DEL"] as const) {
      const { errors, failures } = await failEverywhere(subject, verb, "requests")
      expect(failures).toEqual([])
      expect(errors, verb).toBeGreaterThan(0)
    }
  },
)
