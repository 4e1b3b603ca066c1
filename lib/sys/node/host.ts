import type { Host } from "../host.ts"
import { content } from "./content.ts"
import { descriptors } from "./descriptors.ts"
import { json } from "./json.ts"
import { names } from "./names.ts"
import { nativeOnly } from "./native-only.ts"
import { ownProcess } from "./process.ts"
import { sockets } from "./sockets.ts"
import { text } from "./text.ts"

/** The host of Node.js and the C library. */
export const nodeHost: Host = {
  ...ownProcess,
  ...text,
  ...json,
  ...descriptors,
  ...content,
  ...names,
  ...sockets,
  ...nativeOnly,
}
