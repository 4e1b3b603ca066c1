/** Lets many in at a time, or one alone. */
export class Gate {
  #inside = 0
  #reopened: Promise<void> | undefined
  #left: (() => void) | undefined

  async shared<T>(action: () => Promise<T>): Promise<T> {
    while (this.#reopened) await this.#reopened
    this.#inside++
    try {
      return await action()
    } finally {
      this.#inside--
      this.#left?.()
    }
  }

  /** Runs `action` when all others have left; whoever comes meanwhile waits. */
  async alone(action: () => Promise<void>): Promise<void> {
    while (this.#reopened) await this.#reopened
    let reopen = () => {}
    this.#reopened = new Promise((resolve) => {
      reopen = resolve
    })
    while (this.#inside > 0) {
      await new Promise<void>((resolve) => {
        this.#left = resolve
      })
    }
    try {
      await action()
    } finally {
      this.#reopened = undefined
      reopen()
    }
  }
}
