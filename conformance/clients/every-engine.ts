import { afterAll, afterEach, beforeAll, describe, expect } from "vitest"
import type { Engine } from "./engine.ts"
import { Nerdctl } from "./nerdctl.ts"
import { Podman } from "./podman.ts"

const ENGINES = { podman: Podman.start, nerdctl: Nerdctl.start }

/** Runs the tests on an engine that is started for them. After each of them nothing of its containers and networks is left. */
export function describeEngine(name: keyof typeof ENGINES, tests: (engine: () => Engine) => void): void {
  describe(name, () => {
    let engine: Engine
    let before: object

    beforeAll(async () => {
      engine = await ENGINES[name]()
      settle(engine)
      before = await engine.state()
    })

    afterEach(async () => {
      engine.removeAll()
      expect(await engine.state()).toEqual(before)
    })

    afterAll(async () => {
      await engine?.[Symbol.asyncDispose]()
    })

    tests(() => engine)
  })
}

/** As `describeEngine`, on each. */
export function describeEveryEngine(tests: (engine: () => Engine) => void): void {
  for (const name of Object.keys(ENGINES)) describeEngine(name as keyof typeof ENGINES, tests)
}

/** Has containers come and go: they bring what no container takes away, such as the default bridge and the tables of rules. */
export function settle(engine: Engine): void {
  engine.run("settle", "-p", "18080:80")
  const isolated = engine instanceof Podman ? ["--opt", "isolate=true"] : []
  engine.createNetwork("dual", ...isolated, "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64")
  engine.run("settle-dual", "--network", "dual", "-p", "0.0.0.0:18081:80", "-p", "[::]:18081:80")
  engine.removeAll()
}
