import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { binDirectory } from "../../lab/executables.ts"

const CHAINED = ["bridge", "portmap", "bandwidth"]
/** Not recorded: one runs beside the chain, the other in the process that asks for an address. */
const BESIDES = ["loopback", "host-local"]

export interface RecordedCall {
  readonly plugin: string
  readonly command: string
  readonly containerId: string
  readonly netns: string
}

/** A directory of plugins that write down who calls them before they run, and fail ADD when told to. */
export class RecordedPlugins {
  readonly directory: string
  readonly #record: string

  constructor(parent: string) {
    this.directory = join(parent, "bin")
    this.#record = join(parent, "calls")
    mkdirSync(this.directory, { recursive: true })
    for (const name of BESIDES) symlinkSync(join(binDirectory(), name), join(this.directory, name))
    for (const name of CHAINED) {
      const script = `#!/bin/sh
echo "${name} $CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS" >>${this.#record}
[ "$CNI_COMMAND" = ADD ] && [ -e ${this.#failure(name)} ] && echo '{"code":999,"msg":"told to fail"}' && exit 1
exec ${join(binDirectory(), name)}
`
      writeFileSync(join(this.directory, name), script, { mode: 0o755 })
    }
  }

  /** The containers that were added since then and that nobody deleted. */
  abandoned(): string[] {
    const calls = this.calls()
    const idsOf = (command: string) => calls.filter((call) => call.command === command).map((call) => call.containerId)
    const deleted = idsOf("DEL")
    return idsOf("ADD").filter((id) => !deleted.includes(id))
  }

  /** Returns the calls since the record was last forgotten. */
  calls(): RecordedCall[] {
    const lines = existsSync(this.#record) ? readFileSync(this.#record, "utf8").split("\n").filter(Boolean) : []
    return lines.map((line) => {
      const [plugin = "", command = "", containerId = "", netns = ""] = line.split(" ")
      return { plugin, command, containerId, netns }
    })
  }

  /** Resolves as soon as ADD of the plugin has been called. */
  async added(name: string): Promise<void> {
    while (!this.calls().some((call) => call.plugin === name && call.command === "ADD"))
      await new Promise((done) => setTimeout(done, 1))
  }

  forget(): void {
    writeFileSync(this.#record, "")
  }

  /** From now on, ADD of the plugin fails. */
  fail(name: string): Disposable {
    const marker = this.#failure(name)
    writeFileSync(marker, "")
    return { [Symbol.dispose]: () => rmSync(marker) }
  }

  #failure(name: string): string {
    return join(this.directory, `${name}.fails`)
  }
}
