import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build, type Plugin } from "esbuild"
import { type GuestResult, runInGuest } from "./guest.ts"
import type { Outcome, Run } from "./guest-tests.ts"

const ROOT = fileURLToPath(new URL("../../..", import.meta.url))
const HERE = join(ROOT, "conformance/systems/vm")
const REPORT = "/tmp/outcomes.json"

/** Runs tests in the VM: those of the files, those in the directories. `pattern` chooses by name. */
export async function testsIn(paths: readonly string[], pattern?: string): Promise<Outcome[]> {
  const files = paths.flatMap(testFiles)
  const directory = mkdtempSync(join(ROOT, ".cache/vm/tests-"))
  try {
    const bundle = join(directory, "tests.mjs")
    await bundleTests({ files, pattern, report: REPORT, alone: true }, bundle)
    return outcomesIn(await runInGuest({ machine: true, script: script(bundle), timeoutSeconds: 3600 }))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Returns what the guest reported, and a failure of its own for a bad end that no test is to blame for. */
export function outcomesIn({ exitCode, stdout, stderr }: GuestResult): Outcome[] {
  const found: Outcome[] = stdout === "" ? [] : JSON.parse(stdout)
  const explained = exitCode === 0 && found.length > 0
  return explained
    ? found
    : [...found, { file: ROOT, name: "the tests end well in the VM", failure: `${stderr}\nexit code ${exitCode}` }]
}

function testFiles(path: string): string[] {
  const whole = resolve(path)
  if (!statSync(whole).isDirectory()) return [whole]
  const names = readdirSync(whole).filter((name) => name.endsWith(".test.ts") && name !== "vm.test.ts")
  return names.map((name) => join(whole, name))
}

/** A process group of its own: that of the guest's first process has the kernel's threads in it. */
function script(bundle: string): string {
  const { CNI_TS_BIN } = process.env
  return `
    cd ${quoted(ROOT)}
    ${CNI_TS_BIN ? `export CNI_TS_BIN=${quoted(CNI_TS_BIN)}` : ""}
    export CNITS_IN_VM=1
    setsid --wait node --enable-source-maps ${quoted(bundle)} >&2
    status=$?
    cat ${REPORT}
    exit $status
  `
}

/** Makes one program of test files, for Node.js without any package. */
export async function bundleTests(
  { files, ...others }: { files: readonly string[] } & Pick<Run, "pattern" | "report" | "alone">,
  outfile: string,
): Promise<void> {
  const imports = files.map((file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(file)}),`)
  const run = JSON.stringify({ root: ROOT, ...others })
  const contents = `
    import { runTests } from ${JSON.stringify(join(HERE, "guest-tests.ts"))}
    await runTests({ ...${run}, files: { ${imports.join("\n")} } })
  `
  await bundleProgram(contents, outfile, { vitest: join(HERE, "guest-vitest.ts") })
}

/** Makes one program of a script and all that it imports, but for packages with parts in C. */
export async function bundleProgram(
  contents: string,
  outfile: string,
  alias: Readonly<Record<string, string>> = {},
): Promise<void> {
  await build({
    stdin: { contents, resolveDir: ROOT },
    outfile,
    bundle: true,
    ...{ platform: "node", target: "node18", format: "esm", sourcemap: "inline", logLevel: "error" },
    alias,
    external: ["esbuild", "koffi", "testcontainers"],
    plugins: [ownUrls],
  })
}

/** As modules ask for their own address. */
const ADDRESS = /\bimport\.meta\.url\b/g

/** Lets each module keep the address of its source. */
const ownUrls: Plugin = {
  name: "own URLs",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8")
      return { contents: source.replace(ADDRESS, JSON.stringify(pathToFileURL(path).href)), loader: "ts" }
    }),
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
