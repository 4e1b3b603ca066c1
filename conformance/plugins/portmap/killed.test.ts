import { join } from "node:path"
import { expect, test } from "vitest"
import { environment, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node, type Pod } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { Portmap, QUIET, ruleset, tcp, udp } from "./network.ts"

const PORTS = [tcp(8080), udp(53)]
const ADDRESSES = ["10.1.0.2/24", "fd00::2/64"]

/** More requests than any ADD makes. */
const LIMIT = 60

/** Kills a call at its request number `step`; false if it ended before. */
function killedAt(step: number, portmap: Portmap, command: string, pod: Pod): boolean {
  const prevResult = { cniVersion: "1.1.0", ips: ADDRESSES.map((address) => ({ address })) }
  const call = portmap.call(command, pod, { ports: PORTS, config: { prevResult } })
  const inject = `inject=sendto:signal=SIGKILL:when=${step}`
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", inject]
  const shell = ["sh", "-c", '"$@" >/dev/null || echo exit code $?', "sh"]
  const argv = portmap.node.inside([...shell, ...strace, join(binDirectory(), "portmap")])
  return run(argv, { env: environment(call), stdin: stdin(call) }).stdout === "exit code 137\n"
}

const CASES = (["nftables", "iptables"] as const).flatMap((backend) =>
  (["ADD", "DEL", "GC"] as const).map((healer) => [backend, healer] as const),
)

test.each(CASES)("by %s an ADD killed at any request is healed by %s", (backend, healer) => {
  using node = new Node()
  const portmap = new Portmap(node, { backend })
  const [pod, other] = [node.pod(), node.pod()]
  portmap.map(other, [tcp(9090)], ["10.1.0.3/24", "fd00::3/64"])
  const before = ruleset(node, { sets: true })
  let step = 1
  for (; killedAt(step, portmap, "ADD", pod); step++) {
    if (step > LIMIT) throw new Error(`more than ${LIMIT} requests`)
    if (healer === "ADD") {
      portmap.map(pod, PORTS, ADDRESSES)
      expect(portmap.check(pod, PORTS, ADDRESSES), `killed at ${step}`).toMatchObject(QUIET)
    }
    if (healer === "GC") expect(portmap.gc([other]).exitCode).toBe(0)
    else expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(ruleset(node, { sets: true }), `killed at ${step}`).toEqual(before)
  }
  expect(step).toBeGreaterThan(5)
})

test.each(["nftables", "iptables"])("by %s a DEL killed at any request is finished by the next", (backend) => {
  using node = new Node()
  const portmap = new Portmap(node, { backend })
  const [pod, other] = [node.pod(), node.pod()]
  portmap.map(other, [tcp(9090)], ["10.1.0.3/24", "fd00::3/64"])
  const before = ruleset(node, { sets: true })
  let killed = true
  for (let step = 1; killed; step++) {
    if (step > LIMIT) throw new Error(`more than ${LIMIT} requests`)
    portmap.map(pod, PORTS, ADDRESSES)
    killed = killedAt(step, portmap, "DEL", pod)
    expect(portmap.del(pod)).toMatchObject(QUIET)
    expect(ruleset(node, { sets: true }), `killed at ${step}`).toEqual(before)
  }
})
