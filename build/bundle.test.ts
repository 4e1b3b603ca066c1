import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"

const root = join(fileURLToPath(import.meta.url), "../..")

test("what a plugin process loads imports nothing but Bun's FFI: every node:* module costs a millisecond or more", () => {
  const flags = ["build", "--target=bun", "--format=esm", "--packages=external"]
  const bundle = execFileSync(join(root, "scripts", "bun"), [...flags, join(root, "plugins", "main.ts")], {
    encoding: "utf8",
    maxBuffer: 16 << 20,
  })
  const imports = bundle.matchAll(/(?:\bfrom|\bimport|\brequire\()\s*\(?["']([^"']+)["']/g)
  expect(bundle).toContain("CNI_COMMAND")
  expect([...new Set(Array.from(imports, ([, name]) => name))]).toEqual(["bun:ffi"])
})
