import { spawn } from "node:child_process"
import { openSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { hostDevice, isBack, plugInDevice } from "./network.ts"

/** An `ip monitor`, which hears of the links of a node as its udev does. */
class Monitor implements Disposable {
  readonly #node: Node
  readonly #file: string
  readonly #process: ReturnType<typeof spawn>
  #mark = 60_000

  constructor(node: Node) {
    this.#node = node
    this.#file = join(node.dir, "monitor")
    const [program = "", ...args] = node.inside(["ip", "-o", "monitor", "link"])
    this.#process = spawn(program, args, { stdio: ["ignore", openSync(this.#file, "w"), "ignore"] })
  }

  /** Everything up to now. */
  async heard(): Promise<string> {
    for (;;) {
      this.#node.ip("link", "set", "lo", "mtu", String(++this.#mark))
      await setTimeout(20)
      const text = readFileSync(this.#file, "utf8")
      if (text.includes(`mtu ${this.#mark}`)) return text
    }
  }

  [Symbol.dispose](): void {
    this.#process.kill()
  }
}

test("the node hears of a device under its own name alone, when it goes and when it comes back", async () => {
  using node = new Node()
  plugInDevice(node)
  const pod = node.pod()
  const network = hostDevice(node)
  using monitor = new Monitor(node)
  await monitor.heard()
  network.connect(pod, { ifname: "net1" })
  network.del(pod, { ifname: "net1" })
  const heard = await monitor.heard()
  expect(isBack(node)).toBe(true)
  expect(heard.match(/uplink/g)?.length).toBeGreaterThan(1)
  expect(heard).not.toContain("net1")
})
