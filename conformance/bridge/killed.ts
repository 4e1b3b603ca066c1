import { join } from "node:path"
import { environment, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import type { Node, Pod } from "../lab/node.ts"
import { run } from "../lab/run.ts"
import { leases, type Network } from "./network.ts"

/** What an ADD is killed at: every request to the kernel, and every change of a lease file. */
const STEPS = ["sendto", "mkdir", "link", "symlink", "rename", "unlink"] as const

/** The addresses host-local has given out, also where it was never asked. */
export function leased(node: Node): string[] {
  return node.run("test", "-d", join(node.dir, "ipam/net")).exitCode === 0 ? leases(node) : []
}

/** More steps of a kind than any ADD has. */
const LIMIT = 60

/**
 * Calls `heal` after killing an ADD at each of its steps in turn, once with each of the names; `heal` has to leave things as they were.
 * Returns how many kinds of steps there were, and steps of each.
 */
export function killEverywhere<Name extends string>(
  network: Network,
  pod: Pod,
  healers: readonly Name[],
  heal: (healer: Name, where: string) => void,
): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const call of STEPS) {
    for (let step = 1; killOnce(call, step); step++) {
      if (step > LIMIT) throw new Error(`ADD had more than ${LIMIT} steps of kind ${call}`)
      counts[call] = step
    }
  }
  return counts

  /** False if ADD has not so many steps of that kind. */
  function killOnce(call: string, step: number): boolean {
    for (const healer of healers) {
      if (!killed(network, pod, `inject=${call}:signal=SIGKILL:when=${step}`)) {
        network.del(pod)
        return false
      }
      heal(healer, `killed at ${call} ${step}, then ${healer}`)
    }
    return true
  }
}

/** Starts ADD, to be killed as strace's expression says; false if it ended before. */
function killed({ node, config, plugin }: Network, netns: Pod, inject: string): boolean {
  const call = { command: "ADD", netns, config }
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${STEPS.join(",")}`, "-e", inject]
  const shell = ["sh", "-c", '"$@" >/dev/null || echo exit code $?', "sh"]
  const argv = node.inside([...shell, ...strace, join(binDirectory(), plugin)])
  return run(argv, { env: environment(call), stdin: stdin(call) }).stdout === "exit code 137\n"
}
