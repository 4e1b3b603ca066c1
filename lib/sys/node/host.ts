import type { Host } from "../host.ts"
import { descriptors } from "./descriptors.ts"
import { names } from "./names.ts"
import { ownProcess } from "./process.ts"
import { sockets } from "./sockets.ts"
import { text } from "./text.ts"

/** The world as Node.js and the C library show it. */
export const nodeHost: Host = { ...ownProcess, ...text, ...descriptors, ...names, ...sockets }
