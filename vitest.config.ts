import { defineConfig } from "vitest/config"

/**
 * `pure` needs no privileges and runs anywhere in seconds; `conformance` runs the finished executables
 * as root against the kernel, and is started by scripts/test, which installs what it needs.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    minWorkers: 1,
    projects: [
      {
        test: {
          name: "pure",
          setupFiles: ["lib/sys/node/register.ts"],
          include: ["{lib,plugins,ipam,build,scripts}/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "conformance",
          include: ["conformance/**/*.test.ts"],
          globalSetup: ["conformance/lab/leftovers.ts"],
          setupFiles: ["conformance/lab/breathe.ts"],
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
