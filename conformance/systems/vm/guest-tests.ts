import { writeFileSync } from "node:fs"
import { type File, startTests, type Task, type VitestRunner } from "@vitest/runner"
import { setup, teardown } from "../../lab/leftovers.ts"

/** The end of a test. */
export interface Outcome {
  readonly file: string
  readonly name: string
  /** The reason of a failure, with a stack whose paths are this machine's; without it, the test passed. */
  readonly failure?: string
}

/** The part of vitest that the guest needs; vitest itself, with its server and its workers, starts in half a minute there. */
export interface Run {
  readonly root: string
  readonly files: Readonly<Record<string, () => Promise<unknown>>>
  /** Runs only tests with such names. */
  readonly pattern: string | undefined
  /** The file for the outcomes, as JSON. */
  readonly report: string
  /** Nobody else is at work on the machine: what is left behind when the tests have ended is theirs, and an error. */
  readonly alone: boolean
}

/** Runs test files one after another, as vitest does. */
export async function runTests({ root, files, pattern, report, alone }: Run): Promise<void> {
  if (alone) setup()
  const runner: VitestRunner = {
    config: {
      ...{ root, setupFiles: [], passWithNoTests: false, maxConcurrency: 5, retry: 0 },
      ...{ testTimeout: 120_000, hookTimeout: 300_000, allowOnly: false },
      ...(pattern !== undefined && { testNamePattern: new RegExp(pattern) }),
      sequence: { seed: 0, hooks: "stack", setupFiles: "list" },
    },
    importFile: (path) => files[path]?.(),
    // How far it came, if it does not come to its end.
    onAfterRunTask: ({ name, result }) =>
      console.error(`${result?.state} after ${result?.duration?.toFixed()} ms: ${name}`),
  }
  const found = await startTests(Object.keys(files), runner)
  const outcomes = found.flatMap(outcomesOf)
  // Those that the pattern leaves out are skipped, too.
  writeFileSync(report, JSON.stringify(pattern ? outcomes.filter(({ failure }) => failure !== SKIPPED) : outcomes))
  if (alone) teardown()
}

const SKIPPED = "it is skipped"

/** Returns each test's outcome. A skipped test failed; so did a file or a hook that threw. */
export function outcomesOf(file: Pick<File, "filepath" | "result" | "tasks">): Outcome[] {
  const own = failureOf(file)
  return [
    ...(own ? [{ file: file.filepath, name: "as a whole", failure: own }] : []),
    ...file.tasks.flatMap((task) => outcomesIn(task, file.filepath, "")),
  ]
}

function outcomesIn(task: Task, file: string, prefix: string): Outcome[] {
  const name = `${prefix}${task.name}`
  const failure = failureOf(task)
  if (task.type === "suite") {
    const inner = task.tasks.flatMap((each) => outcomesIn(each, file, `${name} > `))
    return failure ? [{ file, name, failure }, ...inner] : inner
  }
  if (failure) return [{ file, name, failure }]
  if (task.result?.state === "pass") return [{ file, name }]
  return [{ file, name, failure: SKIPPED }]
}

function failureOf({ result }: Pick<Task, "result">): string | undefined {
  const texts = result?.errors?.map(({ stack, message, diff }) => [stack ?? message, diff].filter(Boolean).join("\n\n"))
  return texts?.join("\n\n") || undefined
}
