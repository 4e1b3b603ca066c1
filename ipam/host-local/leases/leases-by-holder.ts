import { bucketOf } from "./index-bucket.ts"
import type { Owner } from "./lease-holder.ts"
import type { LeaseName } from "./lease-name.ts"

/** Leases by the part of the index that their owners are in. A network may have 65,000: each takes two places in a list, no more. */
export class Leases {
  /** By part: an owner, the name of a lease, the next owner, the name of another lease. */
  readonly #pairs = new Map<string, string[]>()

  add(owner: Owner, name: LeaseName): void {
    const bucket = bucketOf(owner)
    const pairs = this.#pairs.get(bucket)
    if (pairs) pairs.push(owner, name)
    else this.#pairs.set(bucket, [owner, name])
  }

  /** The parts that have a lease. */
  get buckets(): ReadonlySet<string> {
    return new Set(this.#pairs.keys())
  }

  /** The leases of the owners in one part. */
  in(bucket: string): ReadonlyMap<Owner, readonly LeaseName[]> {
    const leases = new Map<Owner, LeaseName[]>()
    const pairs = this.#pairs.get(bucket) ?? []
    for (let at = 0; at < pairs.length; at += 2) {
      const [owner, name = ""] = [pairs[at] as Owner, pairs[at + 1]]
      const held = leases.get(owner)
      if (held) held.push(name)
      else leases.set(owner, [name])
    }
    return leases
  }

  of(owner: Owner): readonly LeaseName[] {
    return this.in(bucketOf(owner)).get(owner) ?? []
  }

  /** Makes these the owner's only leases. */
  set(owner: Owner, names: readonly LeaseName[]): void {
    this.drop([owner])
    for (const name of names) this.add(owner, name)
  }

  /** Forgets the owners; goes through each part once. */
  drop(owners: readonly Owner[]): void {
    const gone = new Set(owners)
    for (const bucket of new Set(owners.map(bucketOf))) {
      const others = [...this.in(bucket)].filter(([owner]) => !gone.has(owner))
      this.#pairs.set(
        bucket,
        others.flatMap(([owner, held]) => held.flatMap((name) => [owner, name])),
      )
    }
  }

  /** The owners that `select` accepts, with the names of their leases. */
  owners(select: (owner: Owner) => boolean): Map<Owner, readonly LeaseName[]> {
    return new Map([...this.buckets].flatMap((bucket) => [...this.in(bucket)]).filter(([owner]) => select(owner)))
  }
}
