import { fileURLToPath } from "node:url"
import { type GuestResult, runInGuest } from "./guest.ts"

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url))

/** Runs vitest in the VM, on the files of the project `conformance` that `args` say: its report is stdout, what it tells people stderr. */
export function vitestInGuest(args: readonly string[], timeoutSeconds = 1200): Promise<GuestResult> {
  const { CNI_TS_BIN } = process.env
  const vitest = [
    ["node_modules/.bin/vitest", "run", "--project", "conformance"],
    ["--reporter=default", "--reporter=json", "--outputFile.json=/tmp/report.json", ...args],
  ].flat()
  // A process group of its own: that of the guest's first process has the kernel's threads in it.
  const script = `
    cd ${quoted(ROOT)}
    export CNITS_IN_VM=yes NO_COLOR=1 ${CNI_TS_BIN ? `CNI_TS_BIN=${quoted(CNI_TS_BIN)}` : ""}
    { setsid --wait ${vitest.map(quoted).join(" ")}; echo $? >/tmp/status; } 2>&1 | cat >&2
    cat /tmp/report.json
    exit "$(cat /tmp/status)"
  `
  return runInGuest({ machine: true, script, timeoutSeconds })
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
