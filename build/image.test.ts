import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { imageName } from "./image.ts"

const root = join(fileURLToPath(import.meta.url), "../..")

test("the manifests of deploy/ use the image of this version, and no other", () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const manifests = readdirSync(join(root, "deploy")).map((name) => readFileSync(join(root, "deploy", name), "utf8"))
  const images = manifests.flatMap((text) => [...text.matchAll(/^ *image: (.*)$/gm)].map(([, image]) => image))
  expect(images.length).toBeGreaterThan(3)
  expect(new Set(images)).toEqual(new Set([imageName(version)]))
})
