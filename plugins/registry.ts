import { hostLocal } from "../ipam/host-local/plugin.ts"
import { staticAddresses } from "../ipam/static/plugin.ts"
import type { Plugin } from "../lib/cni/plugin.ts"
import { bandwidth } from "./bandwidth/plugin.ts"
import { bridge } from "./bridge/plugin.ts"
import { dummy } from "./dummy/plugin.ts"
import { firewall } from "./firewall/plugin.ts"
import { hostDevice } from "./host-device/plugin.ts"
import { ipvlan } from "./ipvlan/plugin.ts"
import { loopback } from "./loopback/plugin.ts"
import { macvlan } from "./macvlan/plugin.ts"
import { portmap } from "./portmap/plugin.ts"
import { ptp } from "./ptp/plugin.ts"
import { sbr } from "./sbr/plugin.ts"
import { tap } from "./tap/plugin.ts"
import { tuning } from "./tuning/plugin.ts"
import { vlan } from "./vlan/plugin.ts"
import { vrf } from "./vrf/plugin.ts"

/** Every plugin of the executable, by the name of its hard link. */
export const plugins: Readonly<Record<string, Plugin>> = {
  bandwidth,
  bridge,
  dummy,
  firewall,
  "host-device": hostDevice,
  "host-local": hostLocal,
  ipvlan,
  loopback,
  macvlan,
  portmap,
  ptp,
  sbr,
  static: staticAddresses,
  tap,
  tuning,
  vlan,
  vrf,
}
