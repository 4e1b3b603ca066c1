import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { accessSync, constants, existsSync, readFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

/** Architectures that there are executables for, as Debian and Kubernetes name them. */
export const architectures = ["amd64", "arm64"] as const
export type Architecture = (typeof architectures)[number]

/**
 * What C is compiled for: a static executable of an architecture, without position independence, on musl; or a program of this
 * machine, on its own C library: `compiler` makes byte code during the build, `sanitized` is for tests.
 */
export type Target = Architecture | "compiler" | "sanitized"

export interface Toolchain {
  /** The C compiler, which also links. */
  readonly compiler: string
  /** Its arguments for each C file, whoever's it is. */
  readonly flags: readonly string[]
  /** Its arguments to make `executable` from objects. */
  link(objects: readonly string[], executable: string): string[]
  /** Takes the symbols out of an executable; undefined if they are to stay. */
  readonly strip: string | undefined
  readonly nm: string
  /** The command that an executable is started with on this machine: none for its own architecture. */
  readonly runner: readonly string[]
  /** Another text for every compiler and C library that may give other object code. */
  readonly identity: string
}

/** For our own C. The engine's headers, which do not keep to it, are for `-isystem`. */
export const ownFlags = [
  "-std=c11",
  "-O2",
  "-D_GNU_SOURCE",
  "-Werror",
  "-Wall",
  "-Wextra",
  "-Wpedantic",
  "-Wcast-align",
  "-Wcast-qual",
  "-Wconversion",
  "-Wformat=2",
  "-Wimplicit-fallthrough",
  "-Wmissing-prototypes",
  "-Wnull-dereference",
  "-Wshadow",
  "-Wstrict-prototypes",
  "-Wundef",
  "-Wvla",
  "-Wwrite-strings",
] as const

/** libgcc's choice between two kinds of atomics at run time, which arm64 has, asks glibc. */
const kinds = {
  amd64: { cpu: "x86_64", node: "x64", flags: [] },
  arm64: { cpu: "aarch64", node: "arm64", flags: ["-mno-outline-atomics"] },
} as const

const hardening = ["-fstack-protector-strong", "-fstack-clash-protection"]
const sanitizers = [
  ...["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g"],
  ...["-no-pie", "-fno-pie"], // for the image
]

/** This machine's architecture. */
export function ownArchitecture(): Architecture {
  const found = architectures.find((architecture) => kinds[architecture].node === process.arch)
  if (!found) throw new Error(`cni-ts builds on amd64 and arm64, this is ${process.arch}`)
  return found
}

/** Throws if the machine lacks a program or a library that the target needs. */
export function toolchainFor(target: Target): Toolchain {
  if (target === "compiler") return ownLibrary([])
  if (target === "sanitized") return ownLibrary(sanitizers)
  return musl(target)
}

function ownLibrary(flags: readonly string[]): Toolchain {
  const compiler = program("gcc")
  return {
    compiler,
    flags,
    link: (objects, executable) => [...flags, ...objects, "-lm", "-o", executable],
    strip: undefined, // whoever debugs it wants names
    nm: program("nm"),
    runner: [],
    identity: versionOf(compiler),
  }
}

function musl(architecture: Architecture): Toolchain {
  const { cpu, flags } = kinds[architecture]
  const compiler = program(`${cpu}-linux-gnu-gcc`)
  const root = sysroot(architecture)
  const library = (file: string) => join(root, `usr/lib/${cpu}-linux-musl`, file)
  if (!existsSync(library("libc.a"))) throw new Error(missing(library("libc.a")))
  return {
    compiler,
    flags: [...flags, ...hardening, "-fno-pie", ...headers(compiler, cpu, root)],
    link: (objects, executable) => [
      ...["-static", "-no-pie", "-nostdlib", "-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,-z,noexecstack"],
      ...["crt1.o", "crti.o"].map(library),
      ...objects,
      ...["-Wl,--start-group", library("libc.a"), "-lgcc", "-Wl,--end-group", library("crtn.o"), "-o", executable],
    ],
    strip: program(`${cpu}-linux-gnu-strip`),
    nm: program(`${cpu}-linux-gnu-nm`),
    runner: architecture === ownArchitecture() ? [] : [program(`qemu-${cpu}`)],
    identity: `${versionOf(compiler)} ${digestOf(library("libc.a"))}`,
  }
}

/** The directory under which the architecture's C library and the kernel's headers lie: `/`, or one in .cache. */
function sysroot(architecture: Architecture): string {
  const script = join(fileURLToPath(import.meta.url), "../engine/sysroot")
  return execFileSync(script, [architecture], { encoding: "utf8" }).trim()
}

/** The file that says under which terms musl, which is in the executables, may be passed on. */
export function muslLicense(architecture: Architecture): string {
  return join(sysroot(architecture), "usr/share/doc/musl-dev/copyright")
}

/** musl's headers, the compiler's own, and after all others the kernel's, which lie among glibc's. */
function headers(compiler: string, cpu: string, root: string): string[] {
  const own = execFileSync(compiler, ["-print-file-name=include"], { encoding: "utf8" }).trim()
  const include = (path: string) => join(root, "usr/include", path)
  return [
    "-nostdinc",
    ...["-isystem", include(`${cpu}-linux-musl`), "-isystem", own],
    ...["-idirafter", include(`${cpu}-linux-gnu`), "-idirafter", include("")],
  ]
}

/** That program, if it is on the PATH. */
function program(name: string): string {
  const directories = (process.env["PATH"] ?? "").split(delimiter)
  if (!directories.some((directory) => isExecutable(join(directory, name)))) throw new Error(missing(name))
  return name
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function missing(what: string): string {
  return `the build needs ${what}, which scripts/setup installs (demo: for this machine's architecture, dist: for all)`
}

function versionOf(compiler: string): string {
  return execFileSync(compiler, ["--version"], { encoding: "utf8" }).split("\n")[0] ?? ""
}

function digestOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex")
}
