/** Something on the node is in the way, and it is not ours to change. `advice` says what an operator can do. */
export class Conflict extends Error {
  readonly advice: string

  constructor(message: string, advice: string) {
    super(message)
    this.advice = advice
  }
}
