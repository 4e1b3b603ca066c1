import fc from "fast-check"

/** Values that no key has, and edges of those that some have. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", 0, -1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, [], {}, [[]], [null], {
    "": 0,
  }),
  fc.constantFrom(
    "..",
    "/",
    "../x",
    "\0",
    "\n",
    "10.0.0.0/33",
    "::/0",
    "0.0.0.0/0",
    "fe80::1%eth0",
    "$(x)",
    "__proto__",
  ),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ maxLength: 300 }),
  fc.integer(),
  fc.double(),
)

interface Damage {
  readonly where: number
  readonly how: "replace" | "remove" | "repeat" | "rename"
  readonly value: unknown
}

const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({ where: fc.nat(), how: fc.constantFrom("replace", "remove", "repeat", "rename"), value: odd }),
  { minLength: 1, maxLength: 4 },
)

/** The JSON of one of the samples with some of its values, at any depth, replaced, removed, repeated or renamed. */
export function damagedJson(samples: readonly unknown[]): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...samples), damages).map(([sample, list]) => {
    const root = { root: structuredClone(sample) }
    for (const damage of list) apply(root, damage)
    return JSON.stringify(root.root) ?? "null"
  })
}

type Place = readonly [container: Record<string, unknown>, key: string]

function apply(root: object, { where, how, value }: Damage): void {
  const all = places(root)
  const [container, key] = all[where % all.length] ?? []
  if (!container || key === undefined) return
  if (how === "replace") container[key] = value
  else if (how === "repeat") container[key] = [container[key], container[key]]
  else if (Array.isArray(container)) container.splice(Number(key), 1)
  else {
    const old = container[key]
    delete container[key]
    if (how === "rename") container[String(value)] = old
  }
}

function places(value: unknown): Place[] {
  if (typeof value !== "object" || value === null) return []
  const container = value as Record<string, unknown>
  return Object.keys(container).flatMap((key): Place[] => [[container, key], ...places(container[key])])
}

/** One of the samples with a few characters replaced, inserted, or its end cut off. */
export function damagedText(samples: readonly string[]): fc.Arbitrary<string> {
  const change = fc.tuple(fc.nat(), fc.nat(3), fc.string({ unit: "binary", maxLength: 3 }))
  const anyChanges = fc.array(change, { minLength: 1, maxLength: 4 })
  return fc.tuple(fc.constantFrom(...samples), anyChanges).map(([sample, changes]) =>
    changes.reduce((text, [where, length, inserted]) => {
      const at = where % (text.length + 1)
      return text.slice(0, at) + inserted + text.slice(at + length)
    }, sample),
  )
}

/** As damagedText, for bytes in hex. */
export function damagedBytes(samples: readonly Uint8Array[]): fc.Arbitrary<string> {
  const change = fc.tuple(fc.nat(), fc.nat(255))
  const cut = fc.option(fc.nat(), { freq: 4 })
  return fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { minLength: 1, maxLength: 4 }), cut)
    .map(([sample, changes, length]) => {
      const bytes = sample.slice()
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      return Buffer.from(length === null ? bytes : bytes.subarray(0, length % bytes.length)).toString("hex")
    })
}
