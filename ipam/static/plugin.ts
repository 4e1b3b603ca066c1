import type { Call, Plugin } from "../../lib/cni/plugin.ts"
import type { Result } from "../../lib/cni/result.ts"
import { versions } from "../../lib/cni/version.ts"
import { check } from "./check.ts"
import { readStatic } from "./config.ts"

/** Gives the very addresses, routes and DNS settings that the configuration or the runtime names. It keeps nothing. */
export const staticAddresses: Plugin = {
  name: "static",
  versions,
  ipam: true,
  add,
  del: nothing,
  check,
  gc: nothing,
  status: ({ environment, config }) => void readStatic(config, environment.args),
}

function add({ environment, config }: Call): Result {
  const { addresses, routes, dns } = readStatic(config, environment.args)
  return { interfaces: [], ips: addresses, routes, dns }
}

/** There are no leases to free. */
function nothing(): void {}
