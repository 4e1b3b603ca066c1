import type { Call, Plugin } from "./plugin.ts"
import type { Result } from "./result.ts"
import { orUnavailable } from "./unavailable.ts"
import { versions } from "./version.ts"

/** A plugin that gives out addresses: what it does itself, beside what ipamPlugin() does for all of them. */
export interface IpamPlugin<Config> {
  readonly name: string
  /** Reads and checks all of the configuration and what was requested; throws code 7 that names the key. */
  readonly readConfig: (call: Call) => Config
  /** Returns addresses, routes and DNS settings for the attachment, or throws and has given none. */
  readonly add: (call: Call, config: Config) => Result
  /** Throws code 104 if what ADD gave is no longer the attachment's. */
  readonly check: (call: Call, config: Config) => void
  /** Throws why addresses cannot be given out now. Left out if nothing but the configuration decides. */
  readonly status?: (config: Config) => void
  /** Frees what the attachment holds; nothing is fine. Left out if the plugin keeps nothing. */
  readonly free?: (call: Call) => void
  /** Frees what is of no attachment that survives. Left out if the plugin keeps nothing. */
  readonly collect?: (call: Call) => void
}

/** Returns the plugin, to which plugins that make interfaces may delegate. */
export function ipamPlugin<Config>({ name, readConfig, free, collect, ...verbs }: IpamPlugin<Config>): Plugin {
  return {
    name,
    versions,
    ipam: true,
    add: (call) => verbs.add(call, readConfig(call)),
    del: (call) => free?.(call),
    check: (call) => verbs.check(call, readConfig(call)),
    gc: (call) => collect?.(call),
    status: (call) => {
      const config = readConfig(call)
      orUnavailable(() => verbs.status?.(config))
    },
  }
}
