import type { NetnsIdentity } from "./netns-identity.ts"

/** The network namespace that a lease was made for, noted in the index so that the lease can be reclaimed. */
export interface LeaseRecord extends NetnsIdentity {
  /** The stamp of the lease file, which tells it from one that others make later for the same holder and address. */
  readonly lease: string
}

/** Prints `<boot> <mounts> <namespace> <lease> "<path>"`. */
export function printLeaseRecord({ boot, mounts, namespace, lease, path }: LeaseRecord): string {
  return `${boot} ${mounts} ${namespace} ${lease} ${JSON.stringify(path)}`
}

/** Parses what printLeaseRecord prints; undefined if the text is anything else. */
export function parseLeaseRecord(text: string): LeaseRecord | undefined {
  const [, boot, mounts, namespace, lease, path] =
    /^(\S+) (\d+) (-|\d+(?:[@#][\d.]+)?) ([\d.-]+) (".*")$/s.exec(text) ?? []
  if (!boot || !mounts || !namespace || !lease || !path) return undefined
  try {
    return { boot, mounts, namespace, lease, path: String(JSON.parse(path)) }
  } catch {
    return undefined
  }
}
