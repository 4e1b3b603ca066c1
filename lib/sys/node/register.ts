/** Import this before any module of the product: lib/sys/host.ts looks for the global as it is loaded. */

import { nodeHost } from "./host.ts"

Object.assign(globalThis, { host: nodeHost })
