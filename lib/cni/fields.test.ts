import { describe, expect, it } from "vitest"
import { formatAddress } from "../ip/address.ts"
import { formatPrefix } from "../ip/prefix.ts"
import { Fields, readAddress, readFields, readList, readPrefix, readString } from "./fields.ts"
import { isObject, parseJson } from "./json.ts"

function fieldsOf(text: string, path?: string): Fields {
  const object = parseJson(text)
  if (!isObject(object)) throw new Error(`${text} is no object`)
  return new Fields(object, path)
}

const one = (value: string) => fieldsOf(`{"key":${value}}`)

const undecodable = (message: string) => expect.objectContaining({ code: 6, message: `cannot decode ${message}` })
const invalid = (message: string) => expect.objectContaining({ code: 7, message: `invalid network config: ${message}` })

const readers = {
  "a string": (fields: Fields) => fields.string("key"),
  "true or false": (fields: Fields) => fields.boolean("key"),
  "a whole number": (fields: Fields) => fields.integer("key"),
  "an object": (fields: Fields) => fields.fields("key"),
  "a list": (fields: Fields) => fields.strings("key"),
}

const samples = [
  ["a string", '"text"', 'the string "text"'],
  ["a string", '"true"', 'the string "true"'],
  ["a string", '"1500"', 'the string "1500"'],
  ["true or false", "true", "true"],
  ["true or false", "false", "false"],
  ["a whole number", "1500", "the number 1500"],
  ["an object", "{}", "an object"],
  ["a list", "[]", "a list"],
] as const

const wrongTypes = Object.keys(readers).flatMap((expected) =>
  samples.filter(([type]) => type !== expected).map(([, value, got]) => [expected, value, got] as const),
)

describe("Fields", () => {
  it.each(wrongTypes)("wants %s and refuses %s with code 6 and the path", (expected, value, got) => {
    const read = readers[expected as keyof typeof readers]
    const message = `key: expected ${expected}, got ${got}`
    expect(() => read(one(value))).toThrow(undecodable(message))
    expect(() => read(fieldsOf(`{"key":${value}}`, "ipam.ranges[0][1]"))).toThrow(
      undecodable(`ipam.ranges[0][1].${message}`),
    )
  })

  it("reads each type", () => {
    expect(one('"text"').string("key")).toBe("text")
    expect(one('""').string("key")).toBe("")
    expect(one("false").boolean("key")).toBe(false)
    expect(one("-7").integer("key")).toBe(-7)
    expect(one('["a","b"]').strings("key")).toEqual(["a", "b"])
    expect(one('{"inner":"x"}').fields("key")?.string("inner")).toBe("x")
    expect(one('"10.2.3.1/24"').prefix("key")).toEqual({ address: { family: 4, value: 0x0a020301n }, length: 24 })
  })

  it.each(["{}", '{"key":null}', '{"Key":null}', '{"key":null,"KEY":null}', '{"other":1}'])(
    "finds nothing in %s: null and absent are the same",
    (text) => {
      const fields = fieldsOf(text)
      expect(fields.has("key")).toBe(false)
      expect(fields.get("key")).toBeUndefined()
      for (const [type, read] of Object.entries(readers))
        expect(read(fields)).toEqual(type === "a list" ? [] : undefined)
      expect(fields.address("key")).toBeUndefined()
      expect(fields.prefix("key")).toBeUndefined()
      expect(fields.list("key", readString)).toBeUndefined()
    },
  )

  it("finds a key in any case, as containerd writes it", () => {
    const mapping = fieldsOf('{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"10.0.0.1"}')
    expect(mapping.integer("hostPort")).toBe(8080)
    expect(mapping.integer("containerPort")).toBe(80)
    expect(mapping.string("protocol")).toBe("tcp")
    expect(mapping.string("hostIP")).toBe("10.0.0.1")
    expect(
      fieldsOf('{"RUNTIMECONFIG":{"bandWidth":{"IngressRate":5}}}').fields("runtimeConfig")?.has("bandwidth"),
    ).toBe(true)
  })

  it.each([
    ['{"mtu":1,"mtu":2}', 2],
    ['{"MTU":1,"Mtu":2}', 2],
    ['{"mtu":1,"MTU":2}', 1],
    ['{"MTU":2,"mtu":1}', 1],
    ['{"mtu":1,"mtu":2,"MTU":3}', 2],
    ['{"mtu":1,"MTU":"wrong type"}', 1],
    ['{"mtu":null,"MTU":3}', 3],
    ['{"MTU":3,"Mtu":null}', 3],
    ['{"MTU":3,"mtu":null}', 3],
  ])("counts the exactly spelled key, or else the last: %s", (text, expected) => {
    expect(fieldsOf(text).integer("mtu")).toBe(expected)
  })

  it("reads keys named like members of every object", () => {
    const fields = fieldsOf('{"__proto__":"a","constructor":"b","toString":"c"}')
    expect(["__proto__", "constructor", "toString"].map((key) => fields.string(key))).toEqual(["a", "b", "c"])
    expect(fieldsOf("{}").has("constructor")).toBe(false)
    expect(fieldsOf("{}").has("__proto__")).toBe(false)
  })

  it.each([
    [String.raw`"\ud800"`, "\ufffd"],
    [String.raw`"\udc00x"`, "\ufffdx"],
    [String.raw`"\ud83d\ud83d\ude00"`, "\ufffd😀"],
    [String.raw`"\ude00\ud83d"`, "\ufffd\ufffd"],
    [String.raw`"\ud83d\ude00"`, "😀"],
  ])("reads half a surrogate pair in %s as U+FFFD, as Go does", (text, string) => {
    expect(one(text).string("key")).toBe(string)
    expect(one(`[${text}]`).strings("key")).toEqual([string])
  })

  it("keeps the exact keys of free-form maps", () => {
    const sysctl = fieldsOf('{"sysctl":{"net.ipv4.conf.Eth0.forwarding":"1"}}').get("sysctl")
    expect(sysctl).toEqual({ "net.ipv4.conf.Eth0.forwarding": "1" })
  })
})

describe("an integer", () => {
  it.each(["1500.0", "1e3", "1E3", "1.5", "-0.0", "1e400", "0e0"])("is not written %s", (number) => {
    expect(() => one(number).integer("key")).toThrow(
      undecodable(`key: expected a whole number, got the number ${number}`),
    )
  })

  it.each([
    ["0", 0],
    ["-1", -1],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["-9007199254740991", Number.MIN_SAFE_INTEGER],
  ])("may be %s", (text, number) => {
    expect(one(text).integer("key")).toBe(number)
  })

  it.each(["9007199254740992", "9007199254740993", "-9007199254740993", "18446744073709551616", `1${"0".repeat(50)}`])(
    "is refused where JavaScript would round it: %s",
    (number) => {
      expect(() => one(number).integer("key")).toThrow(
        invalid(`key: ${number} is not between -9007199254740991 and 9007199254740991`),
      )
    },
  )

  it("stays within the limits of its field", () => {
    const vlan = (text: string) => one(text).integer("key", { min: 0, max: 4094 })
    expect([vlan("0"), vlan("4094")]).toEqual([0, 4094])
    expect(() => vlan("-1")).toThrow(invalid("key: -1 is not between 0 and 4094"))
    expect(() => vlan("4095")).toThrow(invalid("key: 4095 is not between 0 and 4094"))
    expect(() => one("-1").integer("key", { min: 0 })).toThrow(invalid("key: -1 is not between 0 and 9007199254740991"))
  })

  it("of ten million digits is refused in one short line", () => {
    const message = (() => {
      try {
        return one("9".repeat(10_000_000)).integer("key")
      } catch (error) {
        return (error as Error).message
      }
    })()
    expect(message).toMatch(/^invalid network config: key: 9{64}\.\.\. is not between/)
  })
})

describe("a list", () => {
  it("names the element that is wrong", () => {
    expect(() => fieldsOf('{"dns":["a",5]}').strings("dns")).toThrow(
      undecodable("dns[1]: expected a string, got the number 5"),
    )
    const nested = '{"ranges":[[{"subnet":"10.0.0.0/8"},{"subnet":true}]]}'
    const readRange = (value: Parameters<typeof readFields>[0], path: string) =>
      readFields(value, path).prefix("subnet")
    expect(() => fieldsOf(nested, "ipam").list("ranges", (value, path) => readList(value, path, readRange))).toThrow(
      undecodable("ipam.ranges[0][1].subnet: expected a string, got true"),
    )
  })

  it("has no null elements, where Go puts an empty one", () => {
    expect(() => one('["a",null]').strings("key")).toThrow(undecodable("key[1]: expected a string, got null"))
    expect(() => one("[null]").list("key", readFields)).toThrow(undecodable("key[0]: expected an object, got null"))
  })
})

describe("an object of any keys", () => {
  it("is read in its order, values that are null left out, and in the keys' own case", () => {
    const read = one('{"b":"1","A":null,"a":"2"}').record("key", readString)
    expect([...(read ?? [])]).toEqual([
      ["b", "1"],
      ["a", "2"],
    ])
    expect([one("null").record("key", readString), one("{}").record("key", readString)]).toEqual([undefined, new Map()])
  })

  it("names the value that is of another type, and itself", () => {
    const message = "key.a.b: expected a string, got the number 1"
    expect(() => one('{"a.b":1}').record("key", readString)).toThrow(undecodable(message))
    expect(() => one("[]").record("key", readString)).toThrow(undecodable("key: expected an object, got a list"))
  })
})

describe("an address", () => {
  it("is none when empty, as in Go", () => {
    expect(one('""').address("key")).toBeUndefined()
    expect(readAddress("", "gateway")).toBeUndefined()
  })

  it("in IPv6 clothes is the IPv4 address", () => {
    const address = one('"::ffff:10.0.0.1"').address("key")
    expect(address && formatAddress(address)).toBe("10.0.0.1")
  })

  it.each(["10.0.0.01", "fe80::1%eth0", "10.0.0.1/24", "localhost", " "])("is not %j", (text) => {
    expect(() => one(JSON.stringify(text)).address("key")).toThrow(invalid(`key: "${text}" is not an IP address`))
  })

  it("too long to be one is cut in the message", () => {
    expect(() => one(`"${"x".repeat(1e6)}"`).address("key")).toThrow(
      /^invalid network config: key: "x{63}\.\.\. is not/,
    )
    expect(() => one(`"${"x".repeat(1e6)}"`).prefix("key")).toThrow(/^invalid network config: key: "x{63}\.\.\. is not/)
    expect(() => one(`"${"x".repeat(1e6)}"`).boolean("key")).toThrow(/got the string "x{63}\.\.\.$/)
  })
})

describe("a prefix", () => {
  it("keeps its host bits", () => {
    expect(formatPrefix(readPrefix("10.2.3.1/24", "subnet"))).toBe("10.2.3.1/24")
  })

  it.each(["", "10.2.3.1", "10.2.3.1/33", "::ffff:10.2.3.1/120", "10.2.3.1/24 "])("is not %j", (text) => {
    expect(() => one(JSON.stringify(text)).prefix("key")).toThrow(
      invalid(`key: "${text}" is not an address with a prefix length`),
    )
  })
})
