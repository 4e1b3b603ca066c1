import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { objectsOf } from "./objects.ts"
import type { Target } from "./toolchain.ts"

const fetch = join(fileURLToPath(import.meta.url), "../engine/fetch")

/** As upstream compiles it, `char` being unsigned on every processor. */
const flags = ["-std=gnu11", "-w", "-funsigned-char", "-D_GNU_SOURCE", "-DQUICKJS_NG_BUILD"]

/**
 * In executables the engine has no parser, so no `eval` either; and asks the host for the time, which stands still while the heap image
 * is made. `int engine_time_of_day(struct timeval *, void *)` is the host's.
 */
const executable = ["-DQJS_DISABLE_PARSER", "-Dgettimeofday=engine_time_of_day"]

const flagsFor: Record<Target, readonly string[]> = {
  amd64: [...flags, ...executable, "-O2", "-DNDEBUG"],
  arm64: [...flags, ...executable, "-O2", "-DNDEBUG"],
  compiler: [...flags, "-O1", "-DNDEBUG"],
  // With the engine's assertions.
  sanitized: [...flags, ...executable, "-O1"],
}

/** The directory of QuickJS-ng's C sources, headers and LICENSE, which cargo fetches the first time. */
export function engineSources(): string {
  return execFileSync(fetch, { encoding: "utf8" }).trim()
}

/** The engine's objects for `target`: with its parser for `compiler`, without for all others, which are made into an image. */
export function engineObjects(target: Target): Promise<string[]> {
  if (target === "compiler")
    return objectsOf({ name: "engine", sources: engineSources(), flags: flagsFor[target] }, target)
  return changedObjects("engine", target, ["image.inc", "member.inc"])
}

/** The engine's objects for profiles: it can say which functions are at work at any moment. */
export function profiledEngineObjects(target: Target): Promise<string[]> {
  return changedObjects("engine-profiled", target, ["image.inc", "member.inc", "profile.inc"])
}

const own = (file: string) => readFileSync(join(fetch, "..", file), "utf8")

/** Compiles the engine, changed for executables, with these files of ours behind its source. */
async function changedObjects(name: string, target: Target, behind: readonly string[]): Promise<string[]> {
  const sources = mkdtempSync(`${engineSources()}-`)
  try {
    cpSync(engineSources(), sources, { recursive: true })
    const path = join(sources, "quickjs.c")
    const engine = changed(readFileSync(path, "utf8"))
    writeFileSync(path, [own("immortal.h"), engine, ...behind.map(own)].join(""))
    return await objectsOf({ name, sources, flags: flagsFor[target] }, target)
  } finally {
    rmSync(sources, { recursive: true })
  }
}

/** A block's count of references, in the engine's source. */
const COUNT = String.raw`JS_REF_COUNT\(([^()]+)\)`

/** The differences of executables' engine from upstream's: each time that its source has the first, it gets the second. */
const CHANGES: readonly (readonly [from: RegExp, to: (...found: string[]) => string])[] = [
  // References are counted as immortal.h says.
  [new RegExp(`${COUNT}\\+\\+`, "g"), (_, block) => `COUNT_UP(${block})`],
  [new RegExp(`--${COUNT}|${COUNT}--`, "g"), (_, before, behind) => `COUNT_DOWN(${before ?? behind})`],
  // Memory is given by blocks.inc in place of all from js_calloc_rt() to js_malloc_usable_size_rt(), unless a sanitizer is to see each block.
  [
    /^void \*js_calloc_rt\(.*^size_t js_malloc_usable_size_rt\(.*?^\}\n/ms,
    (upstream) => `#ifdef __SANITIZE_ADDRESS__\n${upstream}#else\n${own("blocks.inc")}#endif\n`,
  ],
  // A new property of a plain object takes the short way of define.inc.
  [
    /^int JS_DefinePropertyValue\(JSContext \*ctx, JSValueConst this_obj,$.*?^\{$/ms,
    (head) => `${own("define.inc")}${head}\n    if (define_new(ctx, this_obj, prop, val, flags))\n        return true;`,
  ],
  // Objects have room for four properties at first, as most get more than two.
  [/#define JS_PROP_INITIAL_SIZE 2/, () => "#define JS_PROP_INITIAL_SIZE 4"],
  // includes() and indexOf() look for the first character first, as split() does, instead of comparing at each.
  [
    /(^static JSValue js_string_includes\(.*?^ {4})(?=if \(start >= 0 && start <= stop\) \{$)/ms,
    (head) => `${head}if (magic == 0)\n        ret = string_indexof(p, p1, start) >= 0;\n    else `,
  ],
  [
    /(^static JSValue js_string_indexOf\(.*?^ {4})(?=if \(len >= v_len && inc \* \(stop - start\) >= 0\) \{$)/ms,
    (head) => `${head}if (!lastIndexOf)\n        ret = string_indexof(p, p1, start);\n    else `,
  ],
  // Nobody interrupts a call, so its steps are not counted.
  [/--ctx->interrupt_counter <= 0/, () => "0"],
]

/** Returns the engine's source, changed. Throws if it is not as the one that the changes were made for. */
function changed(engine: string): string {
  return CHANGES.reduce((source, [from, to]) => {
    const result = source.replace(from, to)
    if (result === source) throw new Error(`the engine's source has nothing like ${from}`)
    return result
  }, engine)
}
