import { expect, test } from "vitest"
import { namespaced } from "../testing/namespaced.ts"

test("sysctls are those of the stack that is asked, wherever the process is", () => {
  expect(namespaced("sysctls.ts")).toEqual({
    set: ["11", "22"],
    together: "33",
    atLast: "11",
    missing: ["none", "none"],
  })
})
