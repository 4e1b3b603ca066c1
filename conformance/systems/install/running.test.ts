import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { binDirectory } from "../../lab/executables.ts"
import { output, run, runAsync } from "../../lab/run.ts"
import { ROOT } from "./directories.ts"

const top = mkdtempSync(join(tmpdir(), "cnits-install-"))
afterAll(() => rmSync(top, { recursive: true, force: true }))

const node = join(top, "node")
const installer = join(top, "release/install")
const PLUGINS = ["bridge", "host-local", "loopback"]

/** Calls plugins of `node` until the file `stop` is there; prints how many calls there were and each one that failed. */
const CALLER = `
  calls=0
  until [ -e "$0/stop" ]; do
    for plugin in ${PLUGINS.join(" ")}; do
      said=$(CNI_COMMAND=VERSION CNI_PATH="$0/node" "$0/node/$plugin" </dev/null 2>&1) || echo "failed: $plugin: $said"
      case $said in *'"cniVersion"'*) ;; *) echo "answered: $plugin: $said" ;; esac
      calls=$((calls + 1))
    done
  done
  echo "calls: $calls"`

test("plugins are installed over the Go plugins, upgraded and taken back while they are called, and no call fails", async () => {
  mkdirSync(node)
  for (const name of PLUGINS) copyFileSync(join(binDirectory("reference"), name), join(node, name))
  mkdirSync(join(top, "release"))
  copyFileSync(join(ROOT, "scripts/install"), installer)
  output(["cp", "-a", binDirectory(), join(top, "release/bin")])
  const callers = [1, 2].map(() => runAsync(["sh", "-c", CALLER, top]))
  try {
    for (let round = 0; round < 3; round++) {
      expect(await runAsync(["sh", installer, node])).toMatchObject({ exitCode: 0, stderr: "" })
      for (const name of PLUGINS)
        expect(run(["cmp", join(node, name), join(binDirectory(), name)])).toMatchObject({ exitCode: 0 })
      expect(await runAsync(["sh", installer, node])).toMatchObject({ exitCode: 0, stderr: "" })
      expect(await runAsync(["sh", installer, "--uninstall", node])).toMatchObject({ exitCode: 0, stderr: "" })
      expect(run(["cmp", join(node, "bridge"), join(binDirectory("reference"), "bridge")])).toMatchObject({
        exitCode: 0,
      })
    }
  } finally {
    writeFileSync(join(top, "stop"), "")
  }
  for (const { stdout } of await Promise.all(callers)) expect(stdout).toMatch(/^calls: \d\d+\n$/)
})
