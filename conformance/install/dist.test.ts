import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { binDirectory } from "../lab/executables.ts"
import { output, run } from "../lab/run.ts"
import { ROOT } from "./directories.ts"

const top = mkdtempSync(join(tmpdir(), "cnits-dist-"))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const PLUGINS = readdirSync(binDirectory()).sort()
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
const first = join(top, "first")
output([join(ROOT, "scripts/bun"), join(ROOT, "build/dist.ts"), first])
const [amd64, arm64] = ["amd64", "arm64"].map((architecture) => {
  const title = `cni-ts-${version}-linux-${architecture}`
  output(["tar", "-xzf", join(first, `${title}.tgz`), "-C", top])
  return join(top, title)
}) as [string, string]

test("the checksums are those of the tarballs, as sha256sum reads them", () => {
  expect(readdirSync(first).sort()).toEqual([
    "SHA256SUMS",
    ...[amd64, arm64].map((path) => `${path.slice(top.length + 1)}.tgz`),
  ])
  expect(run(["sh", "-c", `cd ${first} && sha256sum --strict -c SHA256SUMS`])).toMatchObject({ exitCode: 0 })
})

test("a copy of the sources in another directory, under another umask and time zone, gives the same bytes", () => {
  const copy = join(top, "another place/cni-ts")
  for (const name of [
    "build",
    "docs",
    "ipam",
    "lib",
    "plugins",
    "scripts",
    "LICENSE",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
  ])
    cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  for (const name of ["node_modules", ".cache"]) symlinkSync(join(ROOT, name), join(copy, name))
  const again = join(top, "again")
  output([
    "sh",
    "-c",
    'umask 077; TZ=Asia/Tokyo LC_ALL=C "$0" "$1" "$2"',
    join(copy, "scripts/bun"),
    join(copy, "build/dist.ts"),
    again,
  ])
  expect(readFileSync(join(again, "SHA256SUMS"), "utf8")).toBe(readFileSync(join(first, "SHA256SUMS"), "utf8"))
})

test("what the tarball contains comes with its licenses: the plugins', the Bun runtime's and its libraries'", () => {
  for (const title of [amd64, arm64]) {
    expect(readFileSync(join(title, "LICENSE"), "utf8")).toContain("Apache License")
    const ofRuntime = readFileSync(join(title, "LICENSE-bun.md"), "utf8")
    for (const name of ["Bun itself is MIT-licensed", "JavaScriptCore", "LGPL", "boringssl"])
      expect(ofRuntime).toContain(name)
  }
})

describe.each([
  ["amd64", amd64, 62],
  ["arm64", arm64, 183],
])("the %s tarball", (_, directory, machine) => {
  test("holds one executable for that machine under every plugin's name, belonging to root", () => {
    const inodes = output(["sh", "-c", `stat -c '%i %h %U %a' ${directory}/bin/*`])
      .trim()
      .split("\n")
    expect(new Set(inodes).size).toBe(1)
    expect(inodes[0]).toMatch(new RegExp(` ${PLUGINS.length} root 755$`))
    expect(readdirSync(join(directory, "bin")).sort()).toEqual(PLUGINS)
    const header = readFileSync(join(directory, "bin/bridge")).subarray(0, 20)
    expect([header.toString("latin1", 1, 4), header.readUInt16LE(18)]).toEqual(["ELF", machine])
  })

  test("is installed by the script that it holds", () => {
    expect(readdirSync(directory).sort()).toEqual(["LICENSE", "LICENSE-bun.md", "README.md", "bin", "install"])
    const script = readFileSync(join(directory, "install"), "utf8")
    expect(script).toBe(readFileSync(join(ROOT, "scripts/install"), "utf8"))
  })
})

test("the installer refuses a node of another architecture before it changes anything", () => {
  const node = join(top, "foreign")
  output(["mkdir", "-p", join(node, ".keep")])
  output(["sh", "-c", `echo go >${node}/bridge`])
  const foreign = process.arch === "arm64" ? amd64 : arm64
  expect(run(["sh", join(foreign, "install"), node])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("does not run on this node"),
  })
  expect(readFileSync(join(node, "bridge"), "utf8")).toBe("go\n")
})

describe("the arm64 executable, under qemu-user with Debian's arm64 libc", () => {
  const leases = join(top, "leases")
  const config = {
    cniVersion: "1.1.0",
    name: "emulated",
    type: "host-local",
    ipam: { type: "host-local", dataDir: leases, ranges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]] },
  }

  function call(plugin: string, command: string, more: object = {}) {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: join(arm64, "bin"),
    }
    const qemu = ["qemu-aarch64", "-cpu", "max", "-L", "/usr/aarch64-linux-gnu", join(arm64, "bin", plugin)]
    return run(qemu, {
      env: { ...env, PATH: process.env["PATH"] ?? "" },
      stdin: JSON.stringify({ ...config, ...more }),
    })
  }

  test.each(PLUGINS)("is %s under that name", (plugin) => {
    const { exitCode, stdout } = call(plugin, "VERSION")
    expect([exitCode, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ cniVersion: "1.1.0" })])
  })

  test("gives a lease, checks it and takes it back: FFI, locks, files and directories", () => {
    const { exitCode, stdout, stderr } = call("host-local", "ADD")
    expect([exitCode, stderr]).toEqual([0, ""])
    const result = JSON.parse(stdout)
    expect(result.ips).toMatchObject([{ address: "10.9.0.2/24" }, { address: "fd00:9::2/64" }])
    expect(readFileSync(join(leases, "emulated/10.9.0.2"), "utf8")).toBe("c1\r\neth0")
    expect(call("host-local", "CHECK", { prevResult: result })).toMatchObject({ exitCode: 0, stdout: "" })
    expect(call("host-local", "DEL", { prevResult: result })).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(call("host-local", "CHECK", { prevResult: result }).exitCode).toBe(1)
    expect(readdirSync(join(leases, "emulated"))).not.toContain("10.9.0.2")
  })
})
