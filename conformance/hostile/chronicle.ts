const TOLD = 80

/** The record of all steps: the last are told with a failure, and in the end how many there were of each kind. */
export class Chronicle {
  readonly #began = performance.now()
  readonly #until: number
  readonly #steps: string[] = []
  readonly #counts = new Map<string, number>()
  readonly failures: string[] = []

  constructor(seconds: number) {
    this.#until = this.#began + seconds * 1000
  }

  /** If it is time to end: at the first failure, so that its cause is among the last steps. */
  get over(): boolean {
    return performance.now() > this.#until || this.failures.length > 0
  }

  /** Counts `kind`; with `more`, which says of whom, it is a step. */
  note(kind: string, more?: string): void {
    this.#counts.set(kind, this.count(kind) + 1)
    if (more !== undefined) this.#step(`${kind} ${more}`)
  }

  fail(message: string): void {
    this.failures.push(message)
    this.#step(`FAILED: ${message}`)
  }

  count(kind: string): number {
    return this.#counts.get(kind) ?? 0
  }

  summary(): string {
    const sorted = [...this.#counts].sort(([one], [other]) => one.localeCompare(other))
    const counted = sorted.map(([kind, count]) => `${kind}: ${count}`).join(", ")
    return this.failures.length === 0 ? counted : [counted, ...this.#steps].join("\n  ")
  }

  /** After a failure the last steps stay: what follows is how the others end. */
  #step(text: string): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(3)
    this.#steps.push(`${seconds} ${text}`)
    if (this.#steps.length > TOLD && this.failures.length === 0) this.#steps.shift()
  }
}
