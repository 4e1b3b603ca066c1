import { bucketOf } from "./index-bucket.ts"
import type { LeaseHolder } from "./lease-holder.ts"
import type { LeaseName } from "./lease-name.ts"

/** Leases in memory, by bucket of the index. A network may have 65,000: each takes two entries of a list and no object. */
export class LeasesByHolder {
  /** By bucket: a holder, the name of a lease, the next holder, the name of another lease. */
  readonly #pairs = new Map<string, string[]>()

  add(holder: LeaseHolder, name: LeaseName): void {
    const bucket = bucketOf(holder)
    const pairs = this.#pairs.get(bucket)
    if (pairs) pairs.push(holder, name)
    else this.#pairs.set(bucket, [holder, name])
  }

  /** The buckets that have a lease. */
  get buckets(): ReadonlySet<string> {
    return new Set(this.#pairs.keys())
  }

  /** Returns the leases of the holders in one bucket. */
  in(bucket: string): ReadonlyMap<LeaseHolder, readonly LeaseName[]> {
    const leases = new Map<LeaseHolder, LeaseName[]>()
    const pairs = this.#pairs.get(bucket) ?? []
    for (let at = 0; at < pairs.length; at += 2) {
      const [holder, name = ""] = [pairs[at] as LeaseHolder, pairs[at + 1]]
      const held = leases.get(holder)
      if (held) held.push(name)
      else leases.set(holder, [name])
    }
    return leases
  }

  of(holder: LeaseHolder): readonly LeaseName[] {
    return this.in(bucketOf(holder)).get(holder) ?? []
  }

  /** Makes these the holder's only leases. */
  set(holder: LeaseHolder, names: readonly LeaseName[]): void {
    this.drop([holder])
    for (const name of names) this.add(holder, name)
  }

  /** Removes the holders; goes through each bucket once. */
  drop(holders: readonly LeaseHolder[]): void {
    const gone = new Set(holders)
    for (const bucket of new Set(holders.map(bucketOf))) {
      const others = [...this.in(bucket)].filter(([holder]) => !gone.has(holder))
      this.#pairs.set(
        bucket,
        others.flatMap(([holder, held]) => held.flatMap((name) => [holder, name])),
      )
    }
  }

  /** Returns the holders that `select` accepts, with the names of their leases. */
  holders(select: (holder: LeaseHolder) => boolean): Map<LeaseHolder, readonly LeaseName[]> {
    return new Map([...this.buckets].flatMap((bucket) => [...this.in(bucket)]).filter(([holder]) => select(holder)))
  }
}
