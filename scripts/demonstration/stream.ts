import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { runAsync } from "../../conformance/lab/run.ts"
import type { Pod } from "./containerd.ts"

/** Has the pod send so many bytes by TCP to an address of this process's; the milliseconds until the last one is here. */
export async function receive(pod: Pod, address: string, bytes: number): Promise<number> {
  const server = createServer((socket) => void socket.resume().on("end", () => server.close()))
  server.listen(0, address)
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  const began = performance.now()
  const ended = new Promise<number>((done) =>
    server.on("connection", (socket) => socket.on("end", () => done(performance.now() - began))),
  )
  const send = `head -c ${bytes} /dev/zero >/dev/tcp/${address}/${port}`
  const { exitCode, stderr } = await runAsync(pod.namespace.inside(["bash", "-c", send]))
  if (exitCode !== 0) throw new Error(`pod ${pod.name} cannot send: ${stderr}`)
  return await ended
}
