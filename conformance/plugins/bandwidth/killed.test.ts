import { join } from "node:path"
import { expect, test } from "vitest"
import { environment, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { ifbs, LimitedPod } from "./limited.ts"

const LIMITS = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 16_000_000, egressBurst: 1_600_000 }
const QUIET = { exitCode: 0, stdout: "", stderr: "" }

/** More requests than any ADD sends. */
const MOST = 60

test("an ADD killed at any of its requests is healed by the next ADD, and cleaned up by DEL", () => {
  using node = new Node()
  const limited = new LimitedPod(node)
  const config = { ...LIMITS, egressMode: "ifb" }
  let step = 1
  for (; step < MOST && killed(limited, config, step); step++) {
    expect(limited.check(config, limited.add(config)), `killed at ${step}, then ADD`).toMatchObject(QUIET)
    expect(killed(limited, config, step), `${step} again`).toBe(true)
    expect(limited.del(config), `killed at ${step}, then DEL`).toMatchObject(QUIET)
    expect(ifbs(node), `killed at ${step}, then DEL`).toEqual([])
    for (const place of ["root", "ingress"]) node.run("tc", "qdisc", "del", "dev", limited.veth, place)
  }
  expect(step, "every request was tried").toBeGreaterThan(8)
  expect(step).toBeLessThan(MOST)
})

/** Starts ADD and kills it as it sends the given request; false if it ended before. */
function killed(limited: LimitedPod, config: object, step: number): boolean {
  const call = limited.asCall("ADD", { ...config })
  const inject = `inject=sendto:signal=SIGKILL:when=${step}`
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", inject]
  const shell = ["sh", "-c", '"$@" >/dev/null || echo exit code $?', "sh"]
  const argv = limited.node.inside([...shell, ...strace, join(binDirectory(), "bandwidth")])
  return run(argv, { env: environment(call), stdin: stdin(call) }).stdout === "exit code 137\n"
}
