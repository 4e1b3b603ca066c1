import fc from "fast-check"
import type { Request, Value } from "./program.ts"

const odd: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(null, true, "", "1", [], { integer: "-1" }, { integer: "18446744073709551617" }),
  fc
    .constantFrom("undefined", "NaN", "symbol", "throws", "function", "detached", "shrunk")
    .map((kind) => ({ odd: kind }) as Value),
)

const descriptor: fc.Arbitrary<Value> = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.constantFrom<Value>(-1, -100, 1e9, 2 ** 31, 2 ** 32 + 1, -(2 ** 31), 1.5),
)

const number: fc.Arbitrary<Value> = fc.oneof(
  fc.nat(300),
  fc.integer(),
  fc.constantFrom<Value>(2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 63), 2 ** 64, 1e300, 0.5, {
    integer: "9223372036854775807",
  }),
)

const bytes: fc.Arbitrary<Value> = fc
  .tuple(fc.uint8Array({ maxLength: 600 }), fc.nat(700), fc.nat(700))
  .map(([array, from, to]) => ({ bytes: Buffer.from(array).toString("hex"), from, to: Math.max(from, to) }))

/** No slash: all paths stay in the directory that the program runs in. */
const path: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom("a", "b", "c", "d", ".", "", "a\0b", "\ud800", "é", "x".repeat(255), "x".repeat(5000)),
  fc.string({ unit: "binary", maxLength: 30 }).map((text) => text.replaceAll("/", "")),
)

/** Programs that end by themselves. */
const executable: fc.Arbitrary<Value> = fc.constantFrom(
  "/bin/true",
  "/bin/false",
  "/bin/cat",
  "/usr/bin/env",
  "a",
  ".",
  "/",
)
const environment: fc.Arbitrary<Value> = fc.array(fc.oneof(path, fc.constantFrom("A=1", "=", "B=\0"), odd), {
  maxLength: 6,
})

/** No function waits for longer than this. */
const moment: fc.Arbitrary<Value> = fc.constantFrom<Value>(
  0,
  1,
  2,
  -1,
  1.5,
  -(2 ** 53),
  { odd: "NaN" },
  { integer: "1" },
)
const timeoutMilliseconds: fc.Arbitrary<Value> = fc.constantFrom<Value>(0, 1, -1, 50, 5000)

const text: fc.Arbitrary<Value> = fc.oneof(path, fc.string({ unit: "binary", maxLength: 300 }))
const json: fc.Arbitrary<Value> = fc.oneof(
  fc.json({ stringUnit: "binary" }).map((text) => ({ json: text })),
  fc.nat(200).map((depth) => ({ json: "[".repeat(depth + 1) + "]".repeat(depth + 1) })),
  odd,
)
const flag: fc.Arbitrary<Value> = fc.boolean()

const name: fc.Arbitrary<Value> = fc.constantFrom("a", "b", "1")
const rows: fc.Arbitrary<Value> = fc
  .array(fc.tuple(fc.nat(9), fc.nat(13), fc.constantFrom(0, 0, 0, 0x40, 0x80)), { maxLength: 6 })
  .map((all) => Uint8Array.from(all.flatMap(([number, encoding, marks]) => [number, encoding | marks])))
  .map((all) => ({ bytes: Buffer.from(all).toString("hex"), from: 0, to: all.length }))
const { layout } = fc.letrec<{ layout: Value }>((tie) => ({
  layout: fc.tuple(rows, fc.array(name), fc.array(fc.oneof({ maxDepth: 3 }, odd, tie("layout")))),
}))
const { values } = fc.letrec<{ value: Value; values: Value }>((tie) => ({
  value: fc.oneof({ maxDepth: 3 }, odd, number, text, bytes, tie("values"), fc.array(tie("value"), { maxLength: 3 })),
  values: fc
    .dictionary(fc.constantFrom("a", "b", "1", "family", "value"), tie("value"))
    .map((members) => ({ members })),
}))

/** The parameters of each function, save `exit`. */
const parameters = {
  arguments: [],
  variable: [path],
  environment: [],
  uptime: [],
  sleep: [moment],
  awaitSignal: [moment],
  spawn: [executable, environment, bytes, timeoutMilliseconds],
  encode: [text],
  decode: [bytes],
  hasBytes: [bytes, number, bytes],
  fnv1a: [text],
  hex: [bytes, text],
  parseIPv4: [text],
  formatIPv4: [number],
  sha512: [text],
  isPlainJson: [text],
  member: [json, text],
  printJson: [json],
  random: [bytes],
  open: [path, fc.oneof(number, fc.constantFrom(0o0, 0o100, 0o102, 0o101, 0o1102, 0o200000)), number],
  close: [descriptor],
  read: [descriptor, bytes],
  awaitInput: [descriptor, moment],
  readAt: [descriptor, bytes, number],
  readFile: [path, number],
  readEnd: [path, number],
  createFile: [path, text],
  createOnDisk: [path, text],
  writeOver: [path, text],
  replaceContent: [path, text],
  removeDirectory: [path],
  mount: [path, path, fc.constantFrom("", "nothing"), fc.constantFrom<Value>(0)],
  chmod: [path, number],
  readLink: [path],
  write: [descriptor, bytes],
  sync: [descriptor],
  lock: [descriptor, moment],
  link: [path, path],
  rename: [path, path],
  unlink: [path],
  mkdir: [path, number],
  list: [path],
  stat: [path, flag],
  fileSystem: [path],
  setTimes: [path, number],
  openOwnNetwork: [],
  isOwnNetwork: [path],
  enterNetwork: [descriptor],
  unshare: [fc.oneof(fc.constantFrom(0, 0x20000, 0x40000000), number)],
  netlink: [fc.oneof(fc.constantFrom(0, 12), number), fc.constantFrom(0, 1)],
  linkIndex: [descriptor, path],
  socket: [
    fc.oneof(fc.constantFrom(1, 2, 10, 16, 17), number),
    fc.oneof(fc.constantFrom(2, 3, 0o4002), number),
    fc.oneof(fc.constantFrom(0, 1, 12, 58, 0x0608), number),
  ],
  setOption: [descriptor, fc.oneof(fc.constantFrom(1, 270), number), fc.nat(12), bytes],
  getOption: [descriptor, fc.oneof(fc.constantFrom(1, 270), number), fc.nat(12), bytes],
  send: [descriptor, bytes],
  receive: [descriptor, bytes],
  connect: [path],
  sendDatagram: [descriptor, bytes, bytes],
  sendTo: [path, bytes],
  makeTun: [descriptor, path, number, number, number],
  nextMessage: [bytes, number, bytes, number, number, number],
  writeAttributes: [bytes, fc.nat(600), layout, values],
  readAttributes: [bytes, fc.nat(300), fc.nat(600), layout],
} satisfies Partial<Record<Request["name"], fc.Arbitrary<Value>[]>>

/** A call of one of the host's functions: mostly with what it takes, at times with something else, or with less. */
export const calls: fc.Arbitrary<Request> = fc
  .constantFrom(...(Object.keys(parameters) as (keyof typeof parameters)[]))
  .chain((name) => {
    const values: fc.Arbitrary<Value>[] = parameters[name].map((usual) =>
      fc.oneof({ weight: 8, arbitrary: usual }, { weight: 1, arbitrary: odd }),
    )
    return fc.tuple(fc.tuple(...values), fc.nat(20)).map(([all, less]) => ({
      name,
      values: less === 0 ? all.slice(0, -1) : all,
    }))
  })
