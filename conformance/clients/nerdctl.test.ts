import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import type { NetworkList } from "../lab/cnitool.ts"
import { output } from "../lab/run.ts"
import type { Engine } from "./engine.ts"
import { describeEngine } from "./every-engine.ts"
import { THERE } from "./place.ts"

/** Calls GC of the default network's plugins, in which no container is. */
function collect({ machine }: Engine): void {
  const list = JSON.parse(readFileSync(machine.path("/etc/cni/net.d/nerdctl-bridge.conflist"), "utf8")) as NetworkList
  for (const plugin of list.plugins) {
    const env = { CNI_COMMAND: "GC", CNI_PATH: "/opt/cni/bin" }
    const config = { ...plugin, name: list.name, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }
    output(machine.inside([`/opt/cni/bin/${plugin.type}`]), { stdin: JSON.stringify(config), env })
  }
}

describeEngine("nerdctl", (engine) => {
  test("is content with the plugins", () => {
    const created = engine().try("network", "create", "own")
    expect(created.stderr).not.toContain("warning")
    engine().do("network", "rm", "own")
  })

  test("a port that is taken is refused by whose it is; what nerdctl calls no DEL for goes by GC", () => {
    engine().run("one", "-p", "18080:80")
    const refused = engine().try(...engine().runCommand("two", "-p", "18080:80"))
    expect(refused.stderr).toContain("host port 18080/tcp is taken by container default-")
    expect(engine().askFromOutside(18080)).toBe(THERE.ipv4)
    expect(engine().leases()).toHaveLength(2)
    engine().removeAll()
    expect(engine().leases()).toHaveLength(1)
    collect(engine())
  })
})
