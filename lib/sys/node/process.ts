import type { Host } from "../host.ts"
import { sleep } from "./pause.ts"
import { spawn } from "./spawn.ts"

/** The process that runs the product, of which Node.js and a script are the beginning. */
export const ownProcess = {
  arguments: () => process.argv.slice(2),
  environment: () => Object.entries(process.env).map(([name, value]) => `${name}=${value}`),
  exit: (status) => process.exit(status),
  uptime: () => performance.now(),
  sleep,
  spawn,
} satisfies Partial<Host>
