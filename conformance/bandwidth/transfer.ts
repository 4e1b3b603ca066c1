import { spawn } from "node:child_process"
import type { View } from "../lab/namespace.ts"
import { runAsync } from "../lab/run.ts"

export interface Transfer {
  readonly from: View
  readonly to: View
  /** The receiver's. */
  readonly address: string
  /** How long is measured, after what is omitted: the time that a burst takes, and TCP to find the rate. */
  readonly seconds: number
  readonly omit: number
}

/** Sends by TCP as fast as it goes; bits per second as the receiver counts them, headers not included. */
export async function transfer({ from, to, address, seconds, omit }: Transfer): Promise<number> {
  const stop = await serve(to)
  try {
    const times = ["--time", String(seconds), "--omit", String(omit)]
    const argv = ["iperf3", "--json", "--client", address, ...times]
    const { stdout } = await runAsync(from.inside(argv))
    const { end, error } = JSON.parse(stdout)
    if (error) throw new Error(`iperf3: ${error}`)
    return end.sum_received.bits_per_second
  } finally {
    await stop()
  }
}

/** Starts a server and returns as soon as it listens, with what ends it. */
function serve(view: View): Promise<() => Promise<void>> {
  const [program = "", ...args] = view.inside(["iperf3", "--server", "--one-off", "--forceflush"])
  const server = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] })
  const ended = new Promise<void>((done) => server.on("close", () => done()))
  return new Promise((done, fail) => {
    server.on("error", fail)
    server.on("close", () => fail(new Error("the iperf3 server ended before it listened")))
    server.stdout.on("data", (text) => {
      if (!String(text).includes("listening")) return
      done(() => {
        server.kill("SIGKILL")
        return ended
      })
    })
  })
}
