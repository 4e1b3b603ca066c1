import { mkdtempSync, rmSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { run } from "../lab/run.ts"
import { runInGuest } from "../systems/vm/guest.ts"
import { bundleProgram } from "../systems/vm/tests-in-guest.ts"
import { EMULATED, type Rows } from "./rows.ts"
import type { Options } from "./runs.ts"

const ROOT = fileURLToPath(new URL("../..", import.meta.url))

/** The kind of link that a case needs, of those that a kernel may lack. */
const NEEDED: Readonly<Record<string, string>> = {
  ipvlan: "ipvlan",
  vlan: "vlan id 5",
  dummy: "dummy",
  vrf: "vrf table 5",
}

/** Returns which of the cases this machine's kernel has no links for. */
export function casesForGuest(names: readonly string[]): string[] {
  return names.filter((name) => NEEDED[name] !== undefined && !canMake(NEEDED[name].split(" ")))
}

function canMake(kind: readonly string[]): boolean {
  const attempt = 'ip link add probe0 type veth peer probe1 && ip link add link probe0 name probe type "$@"'
  return run(["unshare", "--net", "sh", "-c", attempt, "sh", ...kind]).exitCode === 0
}

/** Measures cases in the VM with Debian's kernel, whose processor is software and whose time is its instructions: only ratios say something. */
export async function measureInGuest(rows: Rows, names: readonly string[], { runs, against }: Options): Promise<void> {
  const directory = mkdtempSync(join(ROOT, ".cache/vm/bench-"))
  try {
    const program = join(directory, "bench.mjs")
    await bundleProgram(`import ${JSON.stringify(join(ROOT, "conformance/bench/main.ts"))}`, program)
    const other = against ? `--against '${resolve(against)}'` : ""
    const options = `--dir /tmp/bench --runs ${runs} --only ${names} --rows /tmp/rows.json ${other}`
    const script = `cd '${ROOT}' && mkdir /tmp/bench && unshare --net --mount node '${program}' ${options} >&2 && cat /tmp/rows.json`
    const { exitCode, stdout, stderr } = await runInGuest({
      machine: true,
      countedTime: true,
      script,
      timeoutSeconds: 3600,
    })
    if (exitCode !== 0) throw new Error(`the bench in the VM ended with ${exitCode}: ${stderr}`)
    for (const [name, row] of JSON.parse(stdout)) rows.set(`${name}${EMULATED}`, row)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
