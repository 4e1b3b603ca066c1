import { join } from "node:path"
import { expect, test } from "vitest"
import { environment, stdin } from "../../lab/call.ts"
import { binDirectory } from "../../lab/executables.ts"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { snapshotNamespace } from "../../lab/snapshot.ts"
import { BEYOND, podOfTwo, QUIET, rules, Sbr, wayOf } from "./network.ts"

/** More requests than any ADD sends. */
const MOST = 60

test("an ADD killed at any of its requests leaves every address its routes, and is healed by the next ADD or by DEL", () => {
  using node = new Node()
  const pod = podOfTwo(node)
  const sbr = new Sbr(node, pod)
  const restore = keep(sbr)
  expect(sbr.call("ADD").exitCode).toBe(0)
  const whole = snapshotNamespace(pod).routes
  restore()
  let step = 1
  for (; step < MOST && killed(sbr, step); step++) {
    const way = wayOf(pod, "192.168.1.209", "192.168.1.9")
    expect([way, wayOf(pod, "10.0.0.2", BEYOND)], `killed at ${step}`).toEqual(["net1", "eth0 via 10.0.0.1"])
    expect(sbr.call("ADD").exitCode, `killed at ${step}, then ADD`).toBe(0)
    expect(snapshotNamespace(pod).routes, `killed at ${step}, then ADD`).toEqual(whole)
    restore()
    expect(killed(sbr, step), `${step} again`).toBe(true)
    expect(sbr.call("DEL"), `killed at ${step}, then DEL`).toMatchObject(QUIET)
    expect(rules(pod), `killed at ${step}, then DEL`).toEqual([])
    restore()
  }
  expect(step, "every request was tried").toBeGreaterThan(10)
  expect(step).toBeLessThan(MOST)
}, 60_000)

/** Returns what gives the pod the routes that it has now, and takes its rules. */
function keep({ pod }: Sbr): () => void {
  const shell = (script: string) => {
    const { exitCode, stdout, stderr } = pod.run("sh", "-ec", script)
    if (exitCode !== 0) throw new Error(stderr)
    return stdout
  }
  const lists = ["-4", "-6"].map((family) => [family, shell(`ip ${family} route show dev net1`).trim()] as const)
  const add = lists.flatMap(([family, text]) =>
    text.split("\n").map((route) => `ip ${family} route replace ${route.replace(/ pref \w+/, "")} dev net1`),
  )
  const flush = ["-4", "-6"].map((family) =>
    [
      `for at in 1 2 3; do ip ${family} rule del from all pref 32765 || true; done`,
      `for table in 100 101 102; do ip ${family} route flush table $table || true; done`,
      `ip ${family} route flush dev net1 table main`,
    ].join("\n"),
  )
  return () => void shell(`exec 2>/dev/null\n${[...flush, ...add].join("\n")}`)
}

/** Starts ADD and kills it as it sends the given request; false if it ended before. */
function killed({ node, pod, config, plugin }: Sbr, step: number): boolean {
  const call = { command: "ADD", netns: pod, ifname: "net1", config }
  const inject = `inject=sendto:signal=SIGKILL:when=${step}`
  const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", inject]
  const shell = ["sh", "-c", '"$@" >/dev/null || echo exit code $?', "sh"]
  const argv = node.inside([...shell, ...strace, join(binDirectory(), plugin)])
  return run(argv, { env: environment(call), stdin: stdin(call) }).stdout === "exit code 137\n"
}
