import { spawnSync } from "node:child_process"
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeExecutable } from "../build/executable.ts"
import { ownArchitecture } from "../build/toolchain.ts"

const directory = join(fileURLToPath(import.meta.url), "../../.cache/profile")

/** Runs a plugin often, with the stdin and environment of this process, and prints which of its functions run at how many of the samples. */
async function main(plugin: string, runs: number): Promise<void> {
  const [program, samples] = [join(directory, plugin), join(directory, "samples")]
  mkdirSync(directory, { recursive: true })
  await makeExecutable(ownArchitecture(), program, { profile: true })
  const input = readFileSync(0)
  const file = openSync(samples, "w")
  for (let run = 0; run < runs; run++) {
    const stdio = ["pipe", "ignore", "inherit", ...Array<"ignore">(6).fill("ignore"), file] as const
    spawnSync(program, { input, stdio: [...stdio] })
  }
  closeSync(file)
  report(readFileSync(samples, "utf8"))
}

/** A stack is a line for each function that is at work, the innermost first, and then an empty line. */
function report(samples: string): void {
  const stacks = samples
    .split("\n\n")
    .map((stack) => [...stack.matchAll(/^\s*at (\S+)/gm)].map(([, name = ""]) => name))
  const [own, all] = [new Map<string, number>(), new Map<string, number>()]
  for (const stack of stacks) {
    for (const name of new Set(stack)) all.set(name, (all.get(name) ?? 0) + 1)
    const [innermost] = stack
    if (innermost) own.set(innermost, (own.get(innermost) ?? 0) + 1)
  }
  console.log("own\twith callees\tfunction")
  const names = [...all.keys()].sort(
    (a, b) => (own.get(b) ?? 0) - (own.get(a) ?? 0) || (all.get(b) ?? 0) - (all.get(a) ?? 0),
  )
  for (const name of names.slice(0, 40)) console.log(`${own.get(name) ?? 0}\t${all.get(name)}\t${name}`)
}

const [plugin = "", runs = "1"] = process.argv.slice(2)
await main(plugin, Number(runs))
