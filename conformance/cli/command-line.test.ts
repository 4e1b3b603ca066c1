import { join } from "node:path"
import { expect, test } from "vitest"
import { binDirectory } from "../lab/executables.ts"
import { run, runAsync } from "../lab/run.ts"

const cniTs = (...args: string[]) => run([join(binDirectory(), "cni-ts"), ...args])
const COMMANDS = [
  "install",
  "uninstall",
  "configure",
  "doctor",
  "show",
  "explain",
  "leases",
  "gc",
  "repair",
  "record",
  "replay",
  "idle",
]

test.each([[[]], [["help"]], [["--help"]], [["-h"]]])("%j lists the commands", (args) => {
  const { exitCode, stdout, stderr } = cniTs(...args)
  expect([exitCode, stderr]).toEqual([0, ""])
  const listed = stdout.match(/^ {2}(\w+)/gm)?.map((name) => name.trim())
  expect(listed).toEqual(COMMANDS)
})

test.each(COMMANDS)("%s --help says what it does, and does nothing", (command) => {
  const { exitCode, stdout, stderr } = cniTs(command, "--help")
  expect([exitCode, stderr]).toEqual([0, ""])
  expect(stdout).toMatch(new RegExp(`^Usage: cni-ts ${command}\\b.*\\n\\n\\w`))
})

test.each([
  [["instal"], 'there is no command "instal"'],
  [["toString"], 'there is no command "toString"'],
  [["install", "/a", "/b"], "Usage: cni-ts install [DIR]"],
  [["install", "--force"], "Usage: cni-ts install [DIR]"],
  [["configure"], "Usage: cni-ts configure FILE [TARGET]"],
])("what it does not understand is answered with the usage and status 2: %j", (args, said) => {
  expect(cniTs(...args)).toMatchObject({ exitCode: 2, stdout: "", stderr: expect.stringContaining(said) })
})

test("what cannot be done is said in a line, with status 1", () => {
  const { exitCode, stdout, stderr } = cniTs("configure", "/nowhere/list")
  expect([exitCode, stdout]).toEqual([1, ""])
  expect(stderr).toBe("cni-ts configure: cannot open /nowhere/list: ENOENT (no such file or directory)\n")
})

test("idle waits until it is killed", async () => {
  const program = join(binDirectory(), "cni-ts")
  expect(await runAsync(["timeout", "--signal=KILL", "1", program, "idle"]).catch(String)).toContain("SIGKILL")
})
