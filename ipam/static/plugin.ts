import { ipamPlugin } from "../../lib/cni/ipam-plugin.ts"
import { check } from "./check.ts"
import { readStatic } from "./config.ts"

/** Returns the addresses, routes and DNS settings that the configuration or the runtime names. Keeps no state. */
export const staticAddresses = ipamPlugin({
  name: "static",
  readConfig: ({ config, environment }) => readStatic(config, environment.args),
  add: (_, { addresses, routes, dns }) => ({ interfaces: [], ips: addresses, routes, dns }),
  check,
})
