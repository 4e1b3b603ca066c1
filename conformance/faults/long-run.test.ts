import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { environment, stdin } from "../lab/call.ts"
import { binDirectory } from "../lab/executables.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output, run, runAsync } from "../lab/run.ts"
import { Network } from "../plugins/bridge/network.ts"
import { differences } from "./differences.ts"
import { observe } from "./injection.ts"
import { observeNode } from "./scene.ts"
import { bridged } from "./subjects.ts"

/** ADD/DEL pairs in all; `CNITS_PAIRS=100000` runs as many as anybody wants. */
const PAIRS = Number(process.env["CNITS_PAIRS"] ?? 2000)
const RUNNERS = 4
const PARTS = 10
const GETRUSAGE = process.arch === "arm64" ? 165 : 98
const timeout = PAIRS * 200

/** As many ADD/DEL pairs as it is told, each for another container; stops at the first failure. */
const RUNNER = `
i=0
while [ $i -lt $COUNT ]; do
  i=$((i+1))
  export CNI_CONTAINERID=$NAME-$i
  CNI_COMMAND=ADD $PROGRAM <$CONFIG >$OUT || { cat $OUT; exit 1; }
  CNI_COMMAND=DEL $PROGRAM <$CONFIG || exit 1
done`

test(`after ${PAIRS} ADD/DEL pairs nothing has grown`, { timeout }, async () => {
  using node = new Node()
  const { config } = new Network(node, { ...bridged(node), ipMasq: true })
  node.call("bridge", { command: "ADD", netns: node.pod(), config })
  const pods = Array.from({ length: RUNNERS }, () => node.pod())
  await runPairs(node, pods, config, 5)
  const [before, cost] = [grown(node), costOfAdd(node, pods, config)]
  for (let part = 1; part <= PARTS; part++) {
    const began = performance.now()
    await runPairs(node, pods, config, Math.ceil(PAIRS / PARTS / RUNNERS))
    const time = ((performance.now() - began) * PARTS) / PAIRS
    const { systemCalls, memory } = costOfAdd(node, pods, config)
    console.log(
      `part ${part} of ${PAIRS} pairs: ${time.toFixed(1)} ms a pair, ${systemCalls} system calls, ${memory} KiB`,
    )
    expect(differences(before, grown(node))).toEqual([])
    expect(Math.abs(systemCalls - cost.systemCalls), "system calls more or less").toBeLessThan(10)
    expect(memory, "peak memory of an ADD").toBeLessThan(cost.memory * 1.2)
  }
})

async function runPairs(node: Node, pods: readonly Pod[], config: object, count: number): Promise<void> {
  writeFileSync(join(node.dir, "var-lib/config"), JSON.stringify(config))
  const done = await Promise.all(
    pods.map((pod, index) =>
      runAsync(node.inside(["sh", "-c", RUNNER]), {
        env: {
          PATH: process.env["PATH"] ?? "",
          CNI_IFNAME: "eth0",
          CNI_NETNS: pod.path,
          CNI_PATH: binDirectory(),
          PROGRAM: join(binDirectory(), "bridge"),
          CONFIG: join(node.dir, "var-lib/config"),
          OUT: join(node.dir, `var-lib/out${index}`),
          COUNT: String(count),
          NAME: `${node.name}-${index}`,
        },
      }),
    ),
  )
  expect(done.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
}

/** All that could grow: links, addresses, routes, rules, qdiscs, files, tracked connections. */
function grown(node: Node) {
  const { files, ...rest } = observeNode(node)
  const kept = Object.entries(files).filter(([path]) => !path.startsWith("var-lib/"))
  const tracked = existsSync("/proc/net/nf_conntrack") ? output(node.inside(["cat", "/proc/net/nf_conntrack"])) : ""
  return {
    ...rest,
    files: Object.fromEntries(kept),
    names: readdirSync(join(node.dir, "ipam"), { recursive: true }).length,
    tracked: tracked.split("\n").length,
  }
}

/** Returns the cost of one ADD: system calls of its own, and KiB of memory at its peak. */
function costOfAdd(node: Node, pods: readonly Pod[], config: object): { systemCalls: number; memory: number } {
  const call = { command: "ADD", netns: pods[0], config }
  const { outcome, points } = observe(node, "bridge", call)
  const removed = node.call("bridge", { ...call, command: "DEL" })
  // A process begins with the peak of the one that started it: Perl is small.
  const perl = `$u = chr(0) x 144; system(@ARGV) and exit 1; syscall(${GETRUSAGE}, -1, $u); print STDERR (unpack("q5", $u))[4]`
  const argv = node.inside(["perl", "-e", perl, join(binDirectory(), "bridge")])
  const { stderr } = run(argv, { env: environment(call), stdin: stdin(call) })
  const again = node.call("bridge", { ...call, command: "DEL" })
  expect([outcome.exitCode, removed.exitCode, again.exitCode]).toEqual([0, 0, 0])
  return { systemCalls: points.length, memory: Number(stderr) }
}
