import { describe, expect, test } from "vitest"
import { outcomes } from "./suite.ts"

const passed = { ancestorTitles: ["ADD", "twice"], title: "is refused", status: "passed", failureMessages: [] }
const failed = {
  ...passed,
  ancestorTitles: [],
  status: "failed",
  failureMessages: ["Error: no\n    at /x/add.test.ts:3:1"],
}

function report(exitCode: number, ...assertionResults: object[]) {
  const stdout = JSON.stringify({
    testResults: [{ name: "/x/add.test.ts", message: "no such module", assertionResults }],
  })
  return { exitCode, stdout, stderr: "what vitest said" }
}

describe("a report from the guest", () => {
  const file = "add.test.ts"

  test.each([
    ["one that passed", report(0, passed), [{ file, name: "ADD > twice > is refused" }]],
    ["one that failed", report(1, failed), [{ file, name: "is refused", failure: failed.failureMessages[0] }]],
    [
      "one that was skipped",
      report(0, { ...failed, status: "skipped", failureMessages: [] }),
      [{ file, name: "is refused", failure: "it is skipped" }],
    ],
    ["a file that cannot be loaded", report(1), [{ file, name: "is loaded", failure: "no such module" }]],
  ])("%s", (_, result, expected) => expect(outcomes(result, "/x")).toEqual(expected))

  test.each([
    ["all passed, but something was left behind", report(1, passed), 2],
    ["no report", { ...report(1), stdout: "" }, 1],
    ["no file", { ...report(0), stdout: '{"testResults":[]}' }, 1],
  ])("a bad end is a failure of its own: %s", (_, result, count) => {
    const found = outcomes(result, "/x")
    expect(found).toHaveLength(count)
    expect(found.at(-1)).toEqual({ file: "vitest", name: "ends well in the VM", failure: "what vitest said" })
  })
})
