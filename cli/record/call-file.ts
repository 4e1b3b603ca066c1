import { randomBytes } from "../../lib/sys/digest.ts"
import { linkFile, listDirectory, removeFile, renameFile, writeNew } from "../../lib/sys/file.ts"
import { host, type Relayed } from "../../lib/sys/host.ts"
import { environment } from "../../lib/sys/process.ts"
import { signalName } from "../../lib/sys/signals.ts"
import { printCall, type RecordedCall } from "./recorded-call.ts"

/** Calls that a recording holds at most: a runtime that asks for something again and again is not to fill the disk. */
const MAX_CALLS = 9999

/** Finds the number of a call in the name of its file. */
const NUMBER = /^(\d{4})-/

/** The file of a call that is under way. */
export class CallFile {
  readonly #directory: string
  readonly #name: string
  readonly #begun: RecordedCall

  private constructor(directory: string, name: string, begun: RecordedCall) {
    this.#directory = directory
    this.#name = name
    this.#begun = begun
  }

  /** Writes down that the call begins. Undefined if the recording is full. Throws SystemError. */
  static begin(directory: string, plugin: string, stdin: string): CallFile | undefined {
    const env = Object.fromEntries(Object.entries(environment()).map(([name, value]) => [name, value ?? ""]))
    const command = env["CNI_COMMAND"] ?? ""
    const began = new Date().toISOString()
    const begun = { plugin, command, began, env, stdin }
    const suffix = `${plugin}-${/^[A-Z]{1,16}$/.test(command) ? command : "call"}.json`
    const numbers = listDirectory(directory).map((name) => Number(NUMBER.exec(name)?.[1] ?? 0))
    const unnamed = `${directory}/.${randomName()}`
    writeNew(unnamed, printCall(begun), { synced: false })
    try {
      for (let number = Math.max(0, ...numbers) + 1; number <= MAX_CALLS; number++) {
        const name = `${String(number).padStart(4, "0")}-${suffix}`
        if (linkFile(unnamed, `${directory}/${name}`)) return new CallFile(directory, name, begun)
      }
      return undefined
    } finally {
      removeFile(unnamed)
    }
  }

  /** Writes down how it ended. */
  end({ exitCode, signal, stdout, stderr }: Relayed, milliseconds: number, cut: readonly string[]): void {
    const answer = {
      ...(exitCode !== undefined && { exitCode }),
      ...(signal !== undefined && { signal: signalName(signal) }),
      stdout: host.decode(stdout),
      stderr: host.decode(stderr),
    }
    const { env, stdin, ...begun } = this.#begun
    const whole = { ...begun, milliseconds: Math.round(milliseconds * 100) / 100, env, stdin, answer }
    const [path, next] = [`${this.#directory}/${this.#name}`, `${this.#directory}/.${this.#name}`]
    writeNew(next, printCall({ ...whole, ...(cut.length > 0 && { cut }) }), { synced: false })
    renameFile(next, path)
  }
}

function randomName(): string {
  return randomBytes(8).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "")
}
