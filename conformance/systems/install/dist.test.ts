import { execFile } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, describe, expect, test } from "vitest"
import { toolchainFor } from "../../../build/toolchain.ts"
import { binDirectory } from "../../lab/executables.ts"
import { output, run } from "../../lab/run.ts"
import { ROOT } from "./directories.ts"

const top = mkdtempSync(join(tmpdir(), "cnits-dist-"))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const NAMES = readdirSync(binDirectory()).sort()
const PLUGINS = NAMES.filter((name) => name !== "cni-ts")
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
const first = join(top, "first")
// Not synchronously: vitest gives up a worker that says nothing for a minute.
const execute = promisify(execFile)
await execute(join(ROOT, "node_modules/.bin/tsx"), [join(ROOT, "build/dist.ts"), first])
const [amd64, arm64] = ["amd64", "arm64"].map((architecture) => {
  const title = `cni-ts-${version}-linux-${architecture}`
  output(["tar", "-xzf", join(first, `${title}.tgz`), "-C", top])
  return join(top, title)
}) as [string, string]

test("the checksums are those of tarballs and images, as sha256sum reads them", () => {
  expect(readdirSync(first).sort()).toEqual([
    "SHA256SUMS",
    ...[amd64, arm64].flatMap((path) => ["-image.tar", ".tgz"].map((end) => `${path.slice(top.length + 1)}${end}`)),
  ])
  expect(run(["sh", "-c", `cd ${first} && sha256sum --strict -c SHA256SUMS`])).toMatchObject({ exitCode: 0 })
})

test("a copy of the sources in another directory, compiled anew under another umask and time zone, gives the same bytes", async () => {
  const copy = join(top, "another place/cni-ts")
  const sources = [
    "build",
    "cli",
    "docs",
    "ipam",
    "lib",
    "plugins",
    "scripts",
    "LICENSE",
    "package.json",
    "tsconfig.json",
  ]
  for (const name of sources) cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  mkdirSync(join(copy, ".cache"))
  for (const name of ["node_modules", ".cache/engine", ".cache/sysroot"])
    symlinkSync(join(ROOT, name), join(copy, name))
  const again = join(top, "again")
  const build = 'umask 077; TZ=Asia/Tokyo LC_ALL=C "$0" "$1" "$2"'
  await execute("sh", ["-c", build, join(copy, "node_modules/.bin/tsx"), join(copy, "build/dist.ts"), again])
  expect(readFileSync(join(again, "SHA256SUMS"), "utf8")).toBe(readFileSync(join(first, "SHA256SUMS"), "utf8"))
}, 1_200_000) // the engine is compiled three times: a minute if nothing else runs

test("what the tarball contains comes with its licenses: the plugins', the engine's and the C library's", () => {
  for (const title of [amd64, arm64]) {
    const license = (name: string) => readFileSync(join(title, name), "utf8")
    expect(license("LICENSE")).toContain("Apache License")
    expect(license("LICENSE-quickjs-ng")).toMatch(/Fabrice Bellard[\s\S]*Permission is hereby granted/)
    expect(license("LICENSE-musl")).toMatch(/Rich Felker[\s\S]*Permission is hereby granted/)
  }
})

describe.each([
  ["amd64", amd64, 62],
  ["arm64", arm64, 183],
])("the %s tarball", (_, directory, machine) => {
  test("holds one executable for that machine under every plugin's name, belonging to root", () => {
    expect(readdirSync(join(directory, "bin")).sort()).toEqual(NAMES)
    const files = output(["sh", "-c", `cd ${directory}/bin && stat -c '%i %h %U %a' ${PLUGINS.join(" ")}`])
    const inodes = files.trim().split("\n")
    expect(new Set(inodes).size).toBe(1)
    expect(inodes[0]).toMatch(new RegExp(` ${PLUGINS.length} root 755$`))
    expect(output(["stat", "-c", "%h %U %a", join(directory, "bin/cni-ts")])).toBe("1 root 755\n")
    const header = readFileSync(join(directory, "bin/bridge")).subarray(0, 20)
    expect([header.toString("latin1", 1, 4), header.readUInt16LE(18)]).toEqual(["ELF", machine])
  })

  test("is installed by the script that it holds", () => {
    const licenses = ["LICENSE", "LICENSE-musl", "LICENSE-quickjs-ng"]
    expect(readdirSync(directory).sort()).toEqual([...licenses, "README.md", "bin", "install"])
    const script = readFileSync(join(directory, "install"), "utf8")
    expect(script).toBe(readFileSync(join(ROOT, "scripts/install"), "utf8"))
  })
})

test("the installer refuses plugins for another architecture before it changes anything", () => {
  const [node, foreign] = [join(top, "foreign/node"), join(top, "foreign/release")]
  mkdirSync(node, { recursive: true })
  writeFileSync(join(node, "bridge"), "go\n")
  cpSync(amd64, foreign, { recursive: true })
  for (const name of PLUGINS) {
    rmSync(join(foreign, "bin", name))
    writeFileSync(join(foreign, "bin", name), forNoProcessor(readFileSync(join(arm64, "bin", name))), { mode: 0o755 })
  }
  expect(run(["sh", join(foreign, "install"), node])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("does not run on this node"),
  })
  expect(readFileSync(join(node, "bridge"), "utf8")).toBe("go\n")
})

/** An executable whose processor not even an emulator that the kernel starts by itself knows. */
function forNoProcessor(executable: Buffer): Buffer {
  executable.writeUInt16LE(0xfffe, 18)
  return executable
}

test("the arm64 executable is laid out for the largest pages that arm64 kernels have, 64 KiB", () => {
  const segments = output(["readelf", "-lW", join(arm64, "bin/bridge")]).match(/^ *LOAD .*$/gm) ?? []
  const alignments = segments.map((segment) => segment.split(" ").at(-1))
  expect(alignments).toEqual(["0x10000", "0x10000", "0x10000"])
})

describe("the arm64 executable, under qemu-user", () => {
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
    return run([...toolchainFor("arm64").runner, join(arm64, "bin", plugin)], {
      env: { ...env, PATH: process.env["PATH"] ?? "" },
      stdin: JSON.stringify({ ...config, ...more }),
    })
  }

  test.each(PLUGINS)("is %s under that name", (plugin) => {
    const { exitCode, stdout } = call(plugin, "VERSION")
    expect([exitCode, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ cniVersion: "1.1.0" })])
  })

  test("gives a lease, checks it and takes it back: locks, files and directories", () => {
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
