/** Something else did not come to its end in time. To try again later may help. */
export class TimedOut extends Error {
  /** Advice for the operator; may be empty. */
  readonly advice: string

  constructor(message: string, advice: string) {
    super(message)
    this.advice = advice
  }
}
