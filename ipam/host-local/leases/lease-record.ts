/** Where the holder of a lease lives: its network namespace as it was when the lease was made. */
export interface Residence {
  readonly boot: string
  /** The mount namespace, by inode, in which `path` leads there. */
  readonly mounts: string
  /**
   * The network namespace: its inode, and `#` with its cookie if that was told, for an inode number is soon used again; `-` if it is not mounted
   * in our mount namespace. Earlier builds wrote `@` and a time behind the inode, which says nothing.
   */
  readonly namespace: string
  readonly path: string
}

/** A residence with the lease that it belongs to. */
export interface Tenancy extends Residence {
  /** Tells the lease file from any that others made later for the same owner and address. */
  readonly lease: string
}

/** `<boot> <mounts> <namespace> <lease> "<path>"` */
export function printTenancy({ boot, mounts, namespace, lease, path }: Tenancy): string {
  return `${boot} ${mounts} ${namespace} ${lease} ${JSON.stringify(path)}`
}

/** Undefined where the text is not what printTenancy makes. */
export function parseTenancy(text: string): Tenancy | undefined {
  const [, boot, mounts, namespace, lease, path] =
    /^(\S+) (\d+) (-|\d+(?:[@#][\d.]+)?) ([\d.-]+) (".*")$/.exec(text) ?? []
  if (!boot || !mounts || !namespace || !lease || !path) return undefined
  try {
    return { boot, mounts, namespace, lease, path: String(JSON.parse(path)) }
  } catch {
    return undefined
  }
}
