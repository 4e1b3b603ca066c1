/** Import this before any module of the product: lib/sys/host.ts reads the global when it is loaded. */

import { nodeHost } from "./host.ts"

Object.assign(globalThis, { host: nodeHost })
