import { Worker } from "node:worker_threads"
import { onTestFinished } from "vitest"
import { scratchDirectory } from "./scratch.ts"

/** A worker of its own, since the client under test keeps this thread waiting. */
const PROGRAM = `
const { createServer } = require("node:net")
const { parentPort, workerData: { path, chunks, closes } } = require("node:worker_threads")
const server = createServer((socket) => {
  socket.on("error", () => {})
  const next = (at) => {
    if (at < chunks.length) socket.write(Buffer.from(chunks[at]), () => setTimeout(next, 5, at + 1))
    else if (closes) socket.end()
  }
  next(0)
})
server.listen(path, () => parentPort.postMessage("listens"))
`

/** Starts a server of a Unix socket that says the chunks to whoever connects, one after the other, and then ends if `closes`. Returns its path. */
export async function streamServer(chunks: readonly Uint8Array[], { closes = false } = {}): Promise<string> {
  const path = `${scratchDirectory()}/server`
  const worker = new Worker(PROGRAM, { eval: true, workerData: { path, chunks, closes } })
  onTestFinished(() => void worker.terminate())
  await new Promise((resolve) => worker.once("message", resolve))
  return path
}
