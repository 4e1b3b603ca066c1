import { vitestInGuest } from "./vitest.ts"

// Runs vitest in the VM, with these arguments, and prints what it says: npx tsx conformance/systems/vm/run.ts conformance/plugins/bridge/port
vitestInGuest(process.argv.slice(2)).then(({ exitCode, stderr }) => {
  process.stderr.write(stderr)
  process.exitCode = exitCode
})
