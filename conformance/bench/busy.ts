import { readFileSync } from "node:fs"

/** Others may have so much of the processors before figures mean less. */
const MOST = 0.1

const SAMPLE_MS = 400

/** Notes how much of the processors others have, while nothing is measured. */
export class Busyness {
  readonly #shares: number[] = []

  sample(): void {
    const before = readTimes()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SAMPLE_MS)
    const after = readTimes()
    this.#shares.push((after.busy - before.busy) / Math.max(1, after.all - before.all))
  }

  /** Returns a warning, or nothing. */
  warning(): string | undefined {
    const busy = this.#shares.filter((share) => share > MOST)
    if (busy.length === 0) return undefined
    const most = Math.round(100 * Math.max(...busy))
    return `The machine was busy before ${busy.length} of ${this.#shares.length} cases, with up to ${most} % of its processors: the figures are worth little. Run it again when nothing else runs.`
  }
}

/** Returns the time that all processors have spent since the machine started, and of that the time at work. */
function readTimes(): { all: number; busy: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n")
  const [user = 0, nice = 0, system = 0, idle = 0, ioWait = 0, ...others] = line.split(/\s+/).slice(1, 9).map(Number)
  const all = [user, nice, system, idle, ioWait, ...others].reduce((sum, time) => sum + time, 0)
  return { all, busy: all - idle - ioWait }
}
