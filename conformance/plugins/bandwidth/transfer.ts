import { spawn } from "node:child_process"
import type { View } from "../../lab/namespace.ts"
import { runAsync } from "../../lab/run.ts"

export interface Transfer {
  readonly from: View
  readonly to: View
  /** The receiver's. */
  readonly address: string
  /** The time that is measured, after what is omitted: the time that a burst takes, and TCP to find the rate. */
  readonly seconds: number
  readonly omit: number
}

export interface Received {
  /** Bits per second as the receiver counts them, headers not included. */
  readonly rate: number
  /** Bits that the receiver has had since the connection began, the omitted time included, and in how many seconds. */
  readonly bits: number
  readonly seconds: number
}

/** Sends by TCP as fast as it goes. */
export async function transfer({ from, to, address, seconds, omit }: Transfer): Promise<Received> {
  const stop = await serve(to)
  try {
    const times = ["--time", String(seconds), "--omit", String(omit)]
    const argv = ["iperf3", "--json", "--get-server-output", "--client", address, ...times]
    const { stdout } = await runAsync(from.inside(argv))
    const { end, error, server_output_json: server } = JSON.parse(stdout)
    if (error) throw new Error(`iperf3: ${error}`)
    const intervals: { bytes: number; seconds: number }[] = server.intervals.map(({ sum }: { sum: object }) => sum)
    const total = (key: "bytes" | "seconds") => intervals.reduce((all, interval) => all + interval[key], 0)
    return { rate: end.sum_received.bits_per_second, bits: 8 * total("bytes"), seconds: total("seconds") }
  } finally {
    await stop()
  }
}

/** Starts a server and returns as soon as it listens, with what ends it. */
async function serve(view: View): Promise<() => Promise<void>> {
  const [program = "", ...args] = view.inside(["iperf3", "--server", "--one-off", "--json"])
  const server = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] })
  const ended = new Promise<void>((done) => server.on("close", () => done()))
  const listening = view.inside(["ss", "--no-header", "--listening", "--tcp", "sport = :5201"])
  while ((await runAsync(listening)).stdout === "") {
    if (server.exitCode !== null) throw new Error("the iperf3 server ended before it listened")
  }
  return () => {
    server.kill("SIGKILL")
    return ended
  }
}
