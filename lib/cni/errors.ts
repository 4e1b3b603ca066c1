/**
 * The codes of errors. Below 100 the CNI specification (1.1.0, "Error") gives the meaning,
 * 8 is the Go library's for a network namespace that cannot serve; from 100 on they are ours.
 */
export const code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  badEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  /** The kernel refused a request. */
  kernel: 100,
  /** A file or directory of the node could not be used. */
  file: 101,
  /** Something is in the way: an interface, bridge or address that is not ours to change. */
  conflict: 102,
  /** No address can be given: range exhausted, or the requested one is taken or out of range. */
  noAddress: 103,
  /** CHECK found the attachment changed. */
  changed: 104,
  /** A delegated plugin failed without saying why in CNI's terms. */
  delegate: 105,
  /** A fault of ours. */
  internal: 999,
} as const

/** A failure as the runtime will read it: one document on stdout. */
export class CniError extends Error {
  readonly code: number
  /** Tells what an operator can do next, or more about the cause. Empty only if another program failed and did not say. */
  readonly details: string

  constructor(code: number, message: string, details: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.details = details
  }
}

/** Returns the error for a value in the network configuration that cannot be used. `field` is its path, as in `ipam.ranges[0][1].subnet`. */
export function invalidConfig(field: string, problem: string, details = whoseToCorrect(field)): CniError {
  return new CniError(code.invalidConfig, `invalid network config: ${field}: ${problem}`, details)
}

/** Returns the error for a value that is not of the type, or not of the form, that its key has. */
export function undecodable(field: string, problem: string, details = whoseToCorrect(field)): CniError {
  return new CniError(code.decoding, `cannot decode ${field}: ${problem}`, details)
}

/** Returns the error for something in CNI_ARGS that cannot be used. */
export function invalidArgs(problem: string, details = whoseToCorrect("CNI_ARGS")): CniError {
  return new CniError(code.badEnvironment, `invalid CNI_ARGS: ${problem}`, details)
}

/** Says who can correct the field: not all of what a plugin reads on stdin was written by the network's administrator. */
function whoseToCorrect(field: string): string {
  if (field.startsWith("answer of")) return "what it has printed is no error of CNI's"
  if (field.startsWith("prevResult")) return "it is in the result of the plugins before this one in the chain"
  if (/^(runtimeConfig|args|cni\.dev)\b/.test(field)) return "the runtime sent it: correct what it was asked for"
  if (field.startsWith("CNI_ARGS")) return "the runtime sent it in CNI_ARGS: correct what it was asked for"
  return "correct it in the network config"
}

/** Returns the error for a key that this plugin knows and cannot serve. The specification wants key and value named. */
export function unsupportedField(field: string, value: string, details: string): CniError {
  return new CniError(code.unsupportedField, `unsupported field: ${field}: ${value}`, details)
}

/** Returns CHECK's error for a kernel state that is not what ADD left. */
export function changed(message: string, details = "run DEL and ADD again to restore the attachment"): CniError {
  return new CniError(code.changed, message, details)
}
