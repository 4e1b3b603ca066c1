import { spawn } from "node:child_process"
import { onTestFinished } from "vitest"

/**
 * Has the shell run `script` beside the test, which goes on, and blocks in a system call: its first command interrupts that by a
 * signal, for which this process has a handler until the test has ended.
 */
export function interruptedWhile(script = "true"): void {
  const nothing = () => undefined
  process.on("SIGUSR2", nothing)
  const child = spawn("sh", ["-c", `sleep 0.2; kill -USR2 ${process.pid}; ${script}`], { stdio: "ignore" })
  onTestFinished(async () => {
    if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve))
    process.off("SIGUSR2", nothing)
  })
}
