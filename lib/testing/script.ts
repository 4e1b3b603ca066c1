import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href

/** Node.js that knows TypeScript, to be given a script or `-e` and its text. tsx's own command would leave a socket in /tmp. */
export const nodeWithTypeScript = [process.execPath, "--import", loader] as const
