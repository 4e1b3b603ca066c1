import { grouped } from "../grouped.ts"

/** Things in order, each of one container's or of nobody's, for those who look at a container's and nobody's alone. */
export class Shares<Item> {
  readonly #byOwner: ReadonlyMap<string | undefined, readonly Placed<Item>[]>
  readonly #found = new Map<string, readonly Item[]>()

  constructor(items: readonly Item[], ownerOf: (item: Item) => string | undefined) {
    const placed = items.map((item, at) => ({ item, at }))
    this.#byOwner = grouped(placed, ({ item }) => ownerOf(item))
  }

  /** Returns the container's and those of nobody, in order. */
  of(containerId: string): readonly Item[] {
    const known = this.#found.get(containerId) ?? this.#merge(containerId)
    this.#found.set(containerId, known)
    return known
  }

  #merge(containerId: string): readonly Item[] {
    const [own = [], shared = []] = [containerId, undefined].map((owner) => this.#byOwner.get(owner))
    return [...own, ...shared].sort((a, b) => a.at - b.at).map(({ item }) => item)
  }
}

interface Placed<Item> {
  readonly item: Item
  readonly at: number
}
