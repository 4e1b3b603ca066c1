import { linkSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { cpus, release } from "node:os"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { Namespace } from "../conformance/lab/namespace.ts"
import { output } from "../conformance/lab/run.ts"
import { drawParts } from "./parts.ts"
import { functions, INTERVAL, profiledExecutable, type Stack, sampled } from "./samples.ts"

/*
 * Says of what ADD, CHECK and DEL of one pod consist. It runs in a network and a mount namespace of its own.
 */

const RUNS = 150
const TITLE = "What a call of bridge and host-local consists of, after its process has started"
const COMMANDS = ["ADD", "CHECK", "DEL"] as const
type Command = (typeof COMMANDS)[number]

/** The parts of a call, with the host's functions (lib/sys/host.ts) that they are. What is in none of them is TypeScript. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  netlink: ["send", "receive", "netlink", "linkIndex", "setOption", "getOption"],
  "the disk": ["sync", "createOnDisk"],
  "files, sysctls": [
    "open",
    "close",
    "read",
    "readAt",
    "readFile",
    "readEnd",
    "createFile",
    "writeOver",
    "replaceContent",
    "write",
    "stat",
    "link",
    "rename",
    "unlink",
    "mkdir",
  ],
  "locks, times, namespaces": [
    "lock",
    "setTimes",
    "list",
    "fileSystem",
    "openOwnNetwork",
    "isOwnNetwork",
    "enterNetwork",
    "random",
    "awaitInput",
  ],
}
const TYPESCRIPT = "TypeScript"

function partOf([innermost = ""]: Stack): string {
  const part = Object.keys(PARTS).find((name) => PARTS[name]?.some((called) => innermost === `${called}()`))
  return part ?? TYPESCRIPT
}

/** Returns the milliseconds that each part takes of a call. */
function partsOf(stacks: readonly Stack[]): ReadonlyMap<string, number> {
  const sums = new Map([TYPESCRIPT, ...Object.keys(PARTS)].map((name) => [name, 0]))
  for (const stack of stacks) sums.set(partOf(stack), (sums.get(partOf(stack)) ?? 0) + INTERVAL / RUNS)
  return sums
}

/** Samples the commands of one pod after the other. */
function measure(program: string, directory: string): ReadonlyMap<Command, readonly Stack[]> {
  const stacks = new Map<Command, Stack[]>(COMMANDS.map((command) => [command, []]))
  const network = {
    ...{ cniVersion: "1.0.0", name: "profile", type: "bridge", bridge: "profile0", isDefaultGateway: true },
    ipam: { type: "host-local", dataDir: directory, ranges: [[{ subnet: "10.77.0.0/16" }]] },
  }
  using neighbour = new Namespace("profile-neighbour")
  for (let run = -3; run <= RUNS; run++) {
    using pod = new Namespace(`profile-${run}`)
    let prevResult: object | undefined
    for (const command of COMMANDS) {
      const env = {
        ...{ CNI_COMMAND: command, CNI_CONTAINERID: `pod${run}`, CNI_IFNAME: "eth0", CNI_PATH: dirname(program) },
        CNI_NETNS: run === -3 ? neighbour.path : pod.path,
      }
      const { stdout, stacks: found } = sampled(program, { stdin: JSON.stringify({ ...network, prevResult }), env })
      if (command === "ADD") prevResult = JSON.parse(stdout)
      if (run > 0) stacks.get(command)?.push(...found)
      if (run === -3) break // the first pod stays, so that the bridge has a port
    }
  }
  return stacks
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { svg: { type: "string", default: "" } } })
  const program = await profiledExecutable("bridge")
  const hostLocal = join(dirname(program), "host-local")
  rmSync(hostLocal, { force: true })
  linkSync(program, hostLocal)
  output(["mount", "-t", "tmpfs", "cni-ts-profile", "/run"])
  output(["ip", "link", "set", "lo", "up"])
  const directory = mkdtempSync(join(dirname(program), "leases-"))
  try {
    const stacks = measure(program, directory)
    const parts = new Map(COMMANDS.map((command) => [command, partsOf(stacks.get(command) ?? [])]))
    for (const command of COMMANDS) {
      const line = [...(parts.get(command) ?? [])].map(([name, time]) => `${name} ${time.toFixed(2)}`)
      console.log(`${command}, milliseconds after the process has started: ${line.join(", ")}`)
      console.log(`${functions(stacks.get(command) ?? [], RUNS)}\n`)
    }
    const circumstances = `${new Date().toISOString().slice(0, 10)}, ${cpus().length} CPUs (${cpus()[0]?.model}), Linux ${release()}, means of ${RUNS} pods`
    if (values.svg) writeFileSync(values.svg, drawParts(TITLE, circumstances, parts))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

await main()
