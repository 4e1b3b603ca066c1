import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { commands, type Environment, ifnameProblem, isIdentifier, readEnvironment } from "./environment.ts"

const complete = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
}

const required: [string, string[]][] = [
  ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]],
  ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"]],
  ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]],
  ["GC", ["CNI_PATH"]],
  ["STATUS", ["CNI_PATH"]],
]

/** Returns the code, message and details of what `act` throws. */
function failure(act: () => unknown): unknown {
  try {
    return act()
  } catch (error) {
    const { code, message, details } = error as { code: number; message: string; details: string }
    return { code, message, details }
  }
}

function read(variables: Readonly<Record<string, string | undefined>>): Environment {
  return readEnvironment((name) => variables[name])
}

function readWith(changes: Record<string, string | undefined>): unknown {
  return failure(() => read({ ...complete, ...changes }))
}

function missing(...names: string[]): unknown {
  return expect.objectContaining({ code: 4, message: `required env variables [${names.join(",")}] missing` })
}

describe("readEnvironment", () => {
  it("hands over what it was given", () => {
    expect(read({ ...complete, CNI_ARGS: "IgnoreUnknown=1", CNI_PATH: "/a:/b" })).toEqual({
      command: "ADD",
      containerId: "c1",
      netns: "/run/netns/pod",
      ifname: "eth0",
      args: "IgnoreUnknown=1",
      path: ["/a", "/b"],
      netnsOverride: false,
    })
  })

  it.each(required)("reports everything that is missing for %s at once, in order", (command, names) => {
    expect(failure(() => read({ CNI_COMMAND: command }))).toEqual(missing(...names))
  })

  it.each(required)("reports each variable that %s alone is missing, and requires no other", (command, names) => {
    for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]) {
      const outcome = readWith({ CNI_COMMAND: command, [name]: undefined })
      expect(outcome).toEqual(names.includes(name) ? missing(name) : expect.objectContaining({ command }))
    }
  })

  it("counts an empty value as missing", () => {
    expect(readWith({ CNI_NETNS: "", CNI_IFNAME: "" })).toEqual(missing("CNI_NETNS", "CNI_IFNAME"))
  })

  it("needs no variable but CNI_COMMAND for VERSION and for a command it does not know", () => {
    expect(read({ CNI_COMMAND: "VERSION" })).toEqual(expect.objectContaining({ command: "VERSION", path: [] }))
    expect(read({ CNI_COMMAND: "PROBE" })).toEqual(expect.objectContaining({ command: "PROBE" }))
  })

  it("knows commands in upper case only: `add` is unknown, and requires nothing", () => {
    expect(read({ CNI_COMMAND: "add" }).command).toBe("add")
    expect(commands).not.toContain("add")
  })

  it("reports CNI_COMMAND itself as missing", () => {
    expect(failure(() => read({}))).toEqual(missing("CNI_COMMAND"))
  })

  it("works without CNI_NETNS for DEL", () => {
    expect(read({ ...complete, CNI_COMMAND: "DEL", CNI_NETNS: "" }).netns).toBe("")
  })

  it("reports an invalid value before what is missing", () => {
    expect(readWith({ CNI_CONTAINERID: "some-%%id", CNI_NETNS: "" })).toEqual({
      code: 4,
      message: "invalid characters in CNI_CONTAINERID",
      details: expect.stringContaining('"some-%%id"'),
    })
    expect(readWith({ CNI_CONTAINERID: "", CNI_IFNAME: "a/b" })).toEqual(
      expect.objectContaining({ code: 4, message: expect.stringContaining("CNI_IFNAME") }),
    )
  })

  it("reports the first of two invalid values", () => {
    expect(readWith({ CNI_CONTAINERID: "-", CNI_IFNAME: "a/b" })).toEqual(
      expect.objectContaining({ message: "invalid characters in CNI_CONTAINERID" }),
    )
  })

  it("does not judge variables that the command does not require", () => {
    const odd = { CNI_CONTAINERID: "../..", CNI_IFNAME: "a/b", CNI_PATH: "/x" }
    expect(read({ ...odd, CNI_COMMAND: "GC" }).ifname).toBe("a/b")
    expect(read({ ...odd, CNI_COMMAND: "STATUS" }).containerId).toBe("../..")
    expect(read({ ...odd, CNI_COMMAND: "VERSION" }).ifname).toBe("a/b")
  })

  it.each([
    ["abcdefghijklmnop", "interface name is too long: at most 15 bytes"],
    ["ééééÉÉÉÉ", "interface name is too long: at most 15 bytes"],
    [".", "interface name is . or .."],
    ["..", "interface name is . or .."],
    ["a/b", "interface name contains / or : or whitespace"],
    ["eth0:1", "interface name contains / or : or whitespace"],
    ["eth 0", "interface name contains / or : or whitespace"],
    ["eth\t0", "interface name contains / or : or whitespace"],
    ["eth0\n", "interface name contains / or : or whitespace"],
    ["eth\u00a00", "interface name contains / or : or whitespace"],
    ["eth\u00850", "interface name contains / or : or whitespace"],
    ["eth\u30000", "interface name contains / or : or whitespace"],
    ["all", "no interface can be called all: the kernel's settings for all are"],
    ["default", "no interface can be called default: the kernel's settings for all are"],
    ["eth%d", "interface name contains %"],
    ["eth\u00000", "interface name contains a NUL byte"],
  ])("refuses the interface name %j", (ifname, problem) => {
    expect(readWith({ CNI_IFNAME: ifname })).toEqual({
      code: 4,
      message: `invalid CNI_IFNAME: ${problem}`,
      details: expect.stringContaining(JSON.stringify(ifname)),
    })
  })

  it.each(["all", "default"])("lets DEL have a pod whose interface was to be %s", (ifname) => {
    expect(readWith({ CNI_COMMAND: "DEL", CNI_IFNAME: ifname })).toEqual(expect.objectContaining({ ifname }))
  })

  it.each(["e", "abcdefghijklmno", "eth0.100", "...", "-", "ünï", "a@b", "*"])(
    "accepts the interface name %j",
    (ifname) => {
      expect(readWith({ CNI_IFNAME: ifname })).toEqual(expect.objectContaining({ ifname }))
    },
  )

  it.each([
    ["TRUE", true],
    ["true", true],
    ["True", true],
    ["1", true],
    ["", false],
    ["0", false],
    ["yes", false],
    ["true ", false],
    ["11", false],
  ])("reads CNI_NETNS_OVERRIDE=%s as %s", (value, expected) => {
    expect(readWith({ CNI_NETNS_OVERRIDE: value })).toEqual(expect.objectContaining({ netnsOverride: expected }))
  })

  it("leaves empty directories out of CNI_PATH, which would mean the working directory", () => {
    expect(readWith({ CNI_PATH: ":/a::/b:" })).toEqual(expect.objectContaining({ path: ["/a", "/b"] }))
    expect(readWith({ CNI_PATH: ":" })).toEqual(expect.objectContaining({ path: [] }))
  })
})

describe("a container id or network name", () => {
  it.each(["a", "0", "A.b_c-9", "cnitool-0123456789abcdef0123", `x${"y".repeat(5000)}`])("may be %j", (text) => {
    expect(isIdentifier(text)).toBe(true)
  })

  it.each(["", "-a", ".a", "_a", "a b", "a/b", "..", "a\n", "\na", "a\u0000", "é", "a%", "a:b", "a;b"])(
    "may not be %j",
    (text) => expect(isIdentifier(text)).toBe(false),
  )

  it("never leaves its directory when it is part of a path", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[\w./-]{1,20}$/), (text) => {
        fc.pre(isIdentifier(text))
        expect(new URL(text, "file:///leases/").pathname).toBe(`/leases/${text}`)
      }),
    )
  })
})

describe("ifnameProblem", () => {
  it("finds an empty name, too", () => {
    expect(ifnameProblem("")).toBe("interface name is empty")
  })

  it("refuses names that the kernel would take for a pattern, creating an interface of another name", () => {
    expect(ifnameProblem("eth%d")).toBeDefined()
    expect(ifnameProblem("100%")).toBeDefined()
    expect(ifnameProblem("cni0")).toBeUndefined()
  })
})
