import { isLackOfMemory, toCniError } from "../lib/cni/error-document.ts"
import { exit, programArguments, writeStderr, writeStdout } from "../lib/sys/process.ts"
import { type Command, DONE, FAILED, MISUSED, readCommandLine, Unusable } from "./command.ts"
import { configureCommand } from "./configure.ts"
import { doctorCommand } from "./doctor/command.ts"
import { explainCommand } from "./explain/command.ts"
import { gcCommand } from "./gc/command.ts"
import { idleCommand } from "./idle.ts"
import { installCommand, uninstallCommand } from "./install/command.ts"
import { leasesCommand } from "./leases/command.ts"
import { recordCommand } from "./record/command.ts"
import { answerInPlace } from "./record/in-place.ts"
import { repairCommand } from "./repair/command.ts"
import { replayCommand } from "./replay/command.ts"
import { showCommand } from "./show/command.ts"
import { lookForAnother } from "./survey/answering.ts"

const commands: Readonly<Record<string, Command>> = {
  install: installCommand,
  uninstall: uninstallCommand,
  configure: configureCommand,
  doctor: doctorCommand,
  show: showCommand,
  explain: explainCommand,
  leases: leasesCommand,
  gc: gcCommand,
  repair: repairCommand,
  record: recordCommand,
  replay: replayCommand,
  idle: idleCommand,
}

const USAGE = `Usage: cni-ts COMMAND [ARGUMENT...]

${Object.entries(commands)
  .map(([name, { purpose }]) => `  ${name.padEnd(11)}${purpose}`)
  .join("\n")}

cni-ts COMMAND --help says more.
`

/** Runs the command that the first argument names; or, under a plugin's name while calls are recorded, that plugin. */
export function main(): void {
  lookForAnother()
  answerInPlace()
  const [name = "", ...args] = programArguments()
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command) exit(run(name, command, args))
  if (["", "help", "--help", "-h"].includes(name)) {
    writeStdout(USAGE)
    exit(DONE)
  }
  writeStderr(`cni-ts: there is no command ${JSON.stringify(name)}\n\n${USAGE}`)
  exit(MISUSED)
}

function run(name: string, command: Command, args: readonly string[]): number {
  if (args.includes("--help")) {
    writeStdout(`Usage: cni-ts ${command.usage}\n\n${command.help}`)
    return DONE
  }
  const line = readCommandLine(command, args)
  if (!line) {
    writeStderr(`Usage: cni-ts ${command.usage}\n`)
    return MISUSED
  }
  try {
    return command.run(line.args, line.options)
  } catch (error) {
    if (isLackOfMemory(error)) throw error
    const { message } = error instanceof Unusable ? error : toCniError(error)
    writeStderr(`cni-ts ${name}: ${message}\n`)
    return command.unable ?? FAILED
  }
}

/** The last words of a process without the memory to find others. */
export const outOfMemoryAnswer = "cni-ts: out of memory\n"
