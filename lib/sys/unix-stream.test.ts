import { expect, test } from "vitest"
import { streamServer } from "../testing/stream-server.ts"
import { host } from "./host.ts"
import { UnixStream } from "./unix-stream.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

test("what the server says is received as it comes, and then its end", async () => {
  using stream = new UnixStream(await streamServer([bytes("one"), bytes("two")], { closes: true }), 10)
  const buffer = new Uint8Array(16)
  let text = ""
  for (let count = stream.receive(buffer); count > 0; count = stream.receive(buffer)) {
    text += host.decode(buffer.subarray(0, count))
  }
  expect(text).toBe("onetwo")
})

test("the wait for a server that says nothing, and for one that takes nothing, has an end", async () => {
  const path = await streamServer([])
  using stream = new UnixStream(path, 0.1)
  expect(() => stream.receive(new Uint8Array(16))).toThrow(`no answer over ${path} within 0.1 seconds`)
  expect(() => stream.send(new Uint8Array(64 << 20))).toThrow(`no answer over ${path} within 0.1 seconds`)
})

test("a socket that nobody listens at says so", () => {
  expect(() => new UnixStream("/nonexistent/socket", 1)).toThrow("cannot connect to /nonexistent/socket: ENOENT")
})
