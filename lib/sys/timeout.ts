import { variable } from "./process.ts"

const LEAST_SECONDS = 1
const MOST_SECONDS = 3600

/** Returns how many seconds to wait for others: what the environment variable CNI_TS_WAIT says, or else `usual`. */
export function timeoutSeconds(usual: number): number {
  const given = variable("CNI_TS_WAIT")
  if (given === undefined) return usual
  const wanted = Math.trunc(Number(given))
  return wanted >= LEAST_SECONDS && wanted <= MOST_SECONDS ? wanted : usual
}
