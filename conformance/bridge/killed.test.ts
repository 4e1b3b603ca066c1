import { join } from "node:path"
import { expect, test } from "vitest"
import { environment, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output, run } from "../lab/run.ts"
import { DUAL, hostLocal, leases, Network, ports } from "./network.ts"

/** Every request to the kernel, and every change of a lease file. */
const STEPS = "sendto,link,symlink,rename,unlink"

/** More steps than any ADD has. */
const LIMIT = 100

test("an ADD killed at any of its steps is healed by the next ADD, and cleaned up by DEL and by GC", () => {
  using node = new Node()
  const network = new Network(node, { isDefaultGateway: true, mtu: 1450, ipam: hostLocal(node, DUAL) })
  const pod = node.pod()
  const healers = {
    ADD: () => expectUsable(network, pod),
    DEL: () => expect(network.del(pod).stdout).toBe(""),
    GC: () => expect(network.gc([]).stdout).toBe(""),
  }
  let step = 1
  for (; step < LIMIT; step++) {
    for (const [healer, heal] of Object.entries(healers)) {
      if (node.link("cni0")) output(node.inside(["ip", "link", "del", "cni0"]))
      if (!killed(network, pod, step)) {
        expect(step, "every step was tried").toBeGreaterThan(20)
        return
      }
      heal()
      const left = { ports: ports(node), leases: leased(node), inPod: pod.link("eth0") }
      expect(left, `killed at step ${step}, then ${healer}`).toEqual({ ports: [], leases: [], inPod: undefined })
    }
  }
  expect(step).toBeLessThan(LIMIT)
})

test("an ADD gets the address it asks for, where a killed ADD left it leased to the same attachment", () => {
  using node = new Node()
  const runtimeConfig = { ips: ["10.244.1.7"] }
  const network = new Network(node, { isGateway: true, ipam: hostLocal(node), runtimeConfig })
  const [pod, other] = [node.pod(), node.pod()]
  expect(node.call("host-local", { command: "ADD", netns: pod, config: network.config }).exitCode).toBe(0)
  expect(network.add(other).error?.code).toBe(103)
  expect(network.connect(pod).ips?.[0]?.address).toBe("10.244.1.7/24")
  expect(leases(node)).toEqual(["10.244.1.7"])
})

function expectUsable(network: Network, pod: Pod): void {
  const result = network.connect(pod)
  expect(pod.pings("10.244.1.1")).toBe(true)
  expect(network.check(pod, result).stdout).toBe("")
  expect(network.del(pod).stdout).toBe("")
}

function leased(node: Node): string[] {
  return node.run("test", "-d", join(node.dir, "ipam/net")).exitCode === 0 ? leases(node) : []
}

/** Starts ADD and kills it as it enters the given step; false if it ended before. */
function killed({ node, config }: Network, netns: Pod, step: number): boolean {
  const call = { command: "ADD", netns, config }
  const inject = `inject=${STEPS}:signal=SIGKILL:when=${step}`
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${STEPS}`, "-e", inject]
  const shell = ["sh", "-c", '"$@" >/dev/null || echo exit code $?', "sh"]
  const argv = node.inside([...shell, ...strace, join(binDirectory(), "bridge")])
  return run(argv, { env: environment(call), stdin: stdin(call) }).stdout === "exit code 137\n"
}
