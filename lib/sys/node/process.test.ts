import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { nodeWithTypeScript } from "../../testing/script.ts"

const [node, ...loading] = nodeWithTypeScript
const script = fileURLToPath(new URL("../../testing/process-of-host.ts", import.meta.url))

/** Runs the script with these parameters and variables, and returns its output and exit code. */
function run(parameters: string[], env: Record<string, string>) {
  const { status, stdout } = spawnSync(node, [...loading, script, ...parameters], { env, encoding: "utf8" })
  return { status, ...JSON.parse(stdout) }
}

test("the process is told by its arguments, environment, age and exit status", () => {
  const environment = { B: "2=2", A: "", C: "é" }
  const told = run(["bridge", "--x"], environment)
  expect(told).toMatchObject({ status: 7, arguments: ["bridge", "--x"] })
  expect(told.environment).toMatchObject(environment)
  expect([told.b, told.none]).toEqual(["2=2", null])
  expect(told.after - told.before).toBeGreaterThanOrEqual(50)
})
