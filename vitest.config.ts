import { existsSync, readdirSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

const root = resolve(fileURLToPath(import.meta.url), "..")

/** Directories whose tests run in the VM that their `vm.test.ts` boots. */
const suitesInVm = ["conformance/plugins", "conformance/faults", "conformance/cli", "conformance/clients/cluster"]
  .flatMap((parent) => readdirSync(join(root, parent)).map((name) => `${parent}/${name}`))
  .filter((directory) => existsSync(join(root, directory, "vm.test.ts")))
const onlyInVm = suitesInVm.map((directory) => `${directory}/!(vm).test.ts`)

/** Alike in all tests that run executables. */
const asRoot = { setupFiles: ["conformance/lab/yield-between-tests.ts"], testTimeout: 120_000, hookTimeout: 300_000 }

/** Files that take minutes; begun late, they would run alone in the end. */
const LONGEST = ["faults/failing", "faults/killed-add", "faults/killed-del", "faults/long-run", "executable/waits"]

/** Begins with the longest, and spreads the suites in the VM, which take a processor for minutes each, among the others, which mostly wait. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) =>
      LONGEST.some((name) => moduleId.endsWith(`/conformance/${name}.test.ts`))
    const inVm = sorted.filter(({ moduleId }) => moduleId.endsWith("/vm.test.ts"))
    const others = [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file) && !inVm.includes(file))]
    const share = Math.ceil(others.length / (inVm.length + 1))
    return [
      ...others.slice(0, share),
      ...inVm.flatMap((suite, at) => [suite, ...others.slice((at + 1) * share, (at + 2) * share)]),
    ]
  }
}

/** Tests that take twenty minutes to build for. */
const CLUSTERS = "conformance/clients/cluster/**/*.test.ts"

/**
 * `pure` needs no privileges and runs anywhere in seconds; `conformance` runs the finished executables
 * as root against the kernel, and is started by scripts/test, which installs what it needs; `sanitized` does so with executables that
 * notice every access to memory that is not theirs, and all that C leaves undefined. `clients` is what is too dear for every run:
 * `./scripts/test clients`.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    minWorkers: 1,
    projects: [
      {
        test: {
          name: "pure",
          setupFiles: ["lib/sys/node/register.ts"],
          include: ["{cli,lib,plugins,ipam,build,scripts,docs}/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "conformance",
          include: ["conformance/**/*.test.ts"],
          exclude: [CLUSTERS, ...onlyInVm],
          globalSetup: ["conformance/lab/leftovers.ts"],
          ...asRoot,
        },
      },
      {
        test: {
          name: "clients",
          include: [CLUSTERS],
          exclude: onlyInVm,
          globalSetup: ["conformance/lab/leftovers.ts"],
          ...asRoot,
        },
      },
      {
        test: {
          name: "sanitized",
          env: { CNI_TS_BIN: join(root, ".cache/sanitized") },
          include: ["conformance/plugins/{bridge,host-local}/**/*.test.ts"],
          exclude: [
            // What counts system calls, and what runs in a VM that has not the sanitizers' libraries.
            "conformance/plugins/host-local/cost.test.ts",
            "conformance/plugins/bridge/vlan.test.ts",
            // What watches traffic or the Go plugins for long, by calls of ours that others make, too.
            "conformance/plugins/bridge/{macspoofchk,iptables-masquerade,hot-swap,coexistence}.test.ts",
          ],
          globalSetup: ["conformance/lab/leftovers.ts", "conformance/lab/sanitized.ts"],
          ...asRoot,
        },
      },
    ],
  },
})
