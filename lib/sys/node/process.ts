import type { Host } from "../host.ts"
import { sleep } from "./pause.ts"
import { spawn } from "./spawn.ts"

/** The process, without Node.js and its script in the arguments. */
export const ownProcess = {
  arguments: () => process.argv.slice(2),
  variable: (name) => process.env[name],
  environment: () => Object.assign(Object.create(null), process.env),
  exit: (status) => process.exit(status),
  uptime: () => performance.now(),
  sleep,
  spawn,
} satisfies Partial<Host>
