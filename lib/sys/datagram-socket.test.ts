import "./node/register.ts"

import { createSocket } from "node:dgram"
import { once } from "node:events"
import { constants } from "node:os"
import { expect, test } from "vitest"
import { DatagramSocket } from "./datagram-socket.ts"
import { host } from "./host.ts"
import { AF_INET, AF_PACKET, SOCK_DGRAM } from "./socket-kinds.ts"
import { SystemError } from "./system-error.ts"

const { EBADF, EPROTONOSUPPORT } = constants.errno
const [IPPROTO_IP, IP_RECVERR] = [0, 11]
const buffer = new Uint8Array(4)

/** struct sockaddr_in of a port on 127.0.0.1. */
function local(port: number): Uint8Array {
  const address = new Uint8Array(16)
  address.set([AF_INET, 0, port >> 8, port & 255, 127, 0, 0, 1])
  return address
}

test("what comes is read in turn, cut to the buffer, and nobody waits for what does not", async () => {
  const server = createSocket("udp4")
  server.bind(0, "127.0.0.1")
  await once(server, "listening")
  using socket = new DatagramSocket(AF_INET, SOCK_DGRAM, 0)
  expect(socket.receive(buffer)).toBeUndefined()
  socket.sendTo(local(server.address().port), new Uint8Array([1]), "ask")
  const [, { port }] = await once(server, "message")
  for (const answer of ["first", "2"]) server.send(answer, port, "127.0.0.1")
  await new Promise(setImmediate)
  socket.awaitInput(2000)
  expect([...(socket.receive(buffer) ?? [])]).toEqual([...Buffer.from("firs")])
  socket.awaitInput(2000)
  expect([...(socket.receive(buffer) ?? [])]).toEqual([...Buffer.from("2")])
  socket.awaitInput(1)
  expect(socket.receive(buffer)).toBeUndefined()
  server.close()
})

test("an error that comes back is thrown", () => {
  using socket = new DatagramSocket(AF_INET, SOCK_DGRAM, 0)
  socket.setOption(IPPROTO_IP, IP_RECVERR, new Uint8Array([1, 0, 0, 0]))
  socket.sendTo(local(1), new Uint8Array([1]), "ask")
  socket.awaitInput(2000)
  expect(() => socket.receive(buffer)).toThrow("cannot receive a datagram: ECONNREFUSED (connection refused)")
})

test("what cannot be sent says what was asked", () => {
  using socket = new DatagramSocket(AF_INET, SOCK_DGRAM, 0)
  expect(() => socket.sendTo(new Uint8Array(1), new Uint8Array(1), "ask 10.1.2.3")).toThrow(
    "cannot ask 10.1.2.3: EINVAL",
  )
  expect(() => new DatagramSocket(AF_PACKET, 99, 0)).toThrow(SystemError)
})

test("what no socket can do says why", () => {
  using socket = new DatagramSocket(AF_INET, SOCK_DGRAM, 0)
  expect(host.sendDatagram(-1, local(1), new Uint8Array(1))).toBe(-EBADF)
  expect(host.socket(AF_INET, SOCK_DGRAM, 255)).toBe(-EPROTONOSUPPORT)
  expect(() => socket.setOption(IPPROTO_IP, 9999, new Uint8Array(4))).toThrow("cannot set up a socket")
})
