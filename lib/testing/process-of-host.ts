/** Prints what the host of lib/sys/node says of its process, and ends that in a way that no handler can hold up. */

import { nodeHost as host } from "../sys/node/host.ts"

const before = host.uptime()
host.sleep(50)
console.log(
  JSON.stringify({
    arguments: host.arguments(),
    environment: host.environment(),
    b: host.variable("B"),
    none: host.variable("NONE") ?? null,
    before,
    after: host.uptime(),
  }),
)
setTimeout(() => console.log("still there"), 0)
host.exit(7)
