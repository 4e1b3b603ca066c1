import type { Environment } from "./environment.ts"
import type { Fields } from "./fields.ts"
import type { Log } from "./log.ts"
import type { Result } from "./result.ts"
import type { Version } from "./version.ts"

/**
 * One CNI plugin. Functions return when their goal is reached and throw otherwise; whatever they throw reaches the runtime
 * as one error document. They may be called in process by another plugin, so they print nothing and never exit.
 */
export interface Plugin {
  readonly name: string
  readonly versions: readonly Version[]
  /** Set if it gives out addresses, so that others may delegate to it. */
  readonly ipam?: true
  readonly add: (call: Call) => Result
  readonly del: (call: Call) => void
  /** Undoes a successful ADD whose result could not be printed; default: DEL. */
  readonly takeBack?: (call: Call) => void
  readonly check: (call: Call) => void
  readonly gc: (call: Call) => void
  readonly status: (call: Call) => void
}

/** One call of the runtime: its environment and the network configuration, both valid as far as the protocol goes. */
export interface Call {
  readonly environment: Environment
  readonly config: NetworkConfig
  /** Tells the operator about the call, beside its result. */
  readonly log: Log
  /** The plugins inside this executable, by name. */
  readonly siblings: Readonly<Record<string, Plugin>>
}

/** The network configuration, as the runtime sent it. */
export interface NetworkConfig {
  readonly name: string
  readonly cniVersion: Version
  /** Every key of the configuration, those of the plugin among them. */
  readonly fields: Fields
  /** stdin, byte for byte. */
  readonly bytes: Uint8Array
}
