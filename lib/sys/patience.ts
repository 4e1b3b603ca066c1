import { environment } from "./process.ts"

/** How many seconds to wait for others: `usual`, or what the environment variable CNI_TS_WAIT says, from 1 to 3600. */
export function patience(usual: number): number {
  const wanted = Math.trunc(Number(environment()["CNI_TS_WAIT"]))
  return wanted >= 1 && wanted <= 3600 ? wanted : usual
}
