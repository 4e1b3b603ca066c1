import { describe, expect, test } from "vitest"
import { breachesOf, matches, PARTS } from "./pages.ts"

/** Returns the rules that a page breaks in a repository of these files. */
function rules(file: string, text: string, files: Record<string, string> = {}): string[] {
  const known: Record<string, string> = { ...files, [file]: text }
  const read = (path: string) =>
    known[path] ?? (Object.keys(known).some((file) => matches(file, path)) ? "" : undefined)
  return breachesOf(file, text, read).map(({ rule }) => rule)
}

describe("a relative link", () => {
  const files = {
    "docs/install.md": "# Install\n\n## The way back: `--undo`, or not\n",
    "docs/speed.svg": "",
    docs: "",
  }

  test.each([
    "[a](docs/install.md)",
    "[a](docs)",
    "[a](docs/install.md#the-way-back---undo-or-not)",
    "![a](docs/speed.svg)",
    '<img src="docs/speed.svg" alt="">',
    "[a](#here)\n\n# Here",
    "[a](https://example.org/docs/nowhere.md)",
    "`[a](nowhere.md)`",
    "```\n[a](nowhere.md)\n```",
  ])("%s leads somewhere, or is none", (text) => {
    expect(rules("README.md", `${text}\n`, files)).toEqual([])
  })

  test.each([
    ["[a](nowhere.md)", "nowhere.md"],
    ["[a](docs/install.md#back)", "docs/install.md#back"],
    ["[a](#here)", "README.md#here"],
    ["![a](speed.svg)", "speed.svg"],
    ['<img src="speed.svg">', "speed.svg"],
  ])("%s leads nowhere", (text, target) => {
    expect(rules("README.md", `${text}\n`, files)).toEqual([expect.stringContaining(target)])
  })

  test("begins at the page's own folder, and the line named is the one it stands on", () => {
    expect(rules("plugins/ptp/x.md", "[a](../../docs/install.md)\n", files)).toEqual([])
    const read = () => undefined
    expect(breachesOf("docs/kind.md", "# Kind\n\n[a](docs/install.md)\n", read)).toMatchObject([{ line: 3 }])
  })
})

describe("a path in backticks", () => {
  const files = { lib: "", "lib/net": "", "lib/net/stack.ts": "", docs: "", "docs/lib/x.ts": "" }

  test.each([
    ["x.md", "`lib/net/stack.ts`, in `lib/net/`"],
    ["docs/x.md", "`lib/x.ts`"],
    ["x.md", "`lib/net/NAME.ts`, `lib/*/stack.ts`, `lib/NAME/x.ts`"],
    ["x.md", "`lib/*/`, `lib/n*/*.ts`"],
    ["x.md", "`sys/net.ts`, `/lib/net/x.ts`, `dist/bin`"],
    ["x.md", "```\n`lib/net/hostport`\n```"],
  ])("on %s may be %s", (page, text) => {
    expect(rules(page, `${text}\n`, files)).toEqual([])
  })

  test.each([
    "`lib/net/hostport`",
    "`lib/net/hostport/`",
    "`lib/x.ts`",
    "`lib/net/README.md`",
    "`lib/*.ts`",
    "`lib/*/x.test.ts`",
  ])("is found if it is %s, which is not there", (text) => {
    expect(rules("x.md", `${text}\n`, files)).toEqual([expect.stringContaining("which is not there")])
  })
})

describe("a block of code that names its file", () => {
  const files = { "docs/example/add.ts": 'import "x"\n\nfunction add() {\n  if (a) {\n    b()\n  }\n}\n' }
  const quoting = (path: string, code: string) => `text\n\n\`\`\`ts ${path}\n${code}\n\`\`\`\n`

  test.each([
    ["README.md", "docs/example/add.ts", "function add() {\n  if (a) {"],
    ["README.md", "docs/example/add.ts", "if (a) {\n  b()"],
    ["docs/x.md", "example/add.ts", "b()"],
  ])("on %s quotes %s: %j", (page, path, code) => {
    expect(rules(page, quoting(path, code), files)).toEqual([])
  })

  test.each([
    ["docs/example/add.ts", "function add(b) {", "does not say that"],
    ["docs/example/add.ts", "function add() {\n  b()", "does not say that"],
    ["docs/example/add.ts", "add() {", "does not say that"],
    ["docs/example/del.ts", "function add() {", "is not there"],
  ])("is found if %s does not say %j", (path, code, rule) => {
    expect(rules("README.md", quoting(path, code), files)).toEqual([expect.stringContaining(rule)])
  })

  test("is any other text without a name", () => {
    expect(rules("README.md", "```ts\nadd()\n```\n", files)).toEqual([])
  })
})

describe("a plugin's page", () => {
  const page = (parts: readonly string[]) => `# x\n\n${parts.map((part) => `## ${part}\n\ntext\n`).join("\n")}`
  const [first = "", second = "", ...others] = PARTS

  test("has five parts, perhaps reports, and more headings below them", () => {
    expect(rules("plugins/x/README.md", page(PARTS))).toEqual([])
    expect(rules("plugins/x/README.md", page([...PARTS, "Reports"]))).toEqual([])
    expect(rules("ipam/x/README.md", page(PARTS).replace("text", "### More\n\n```\n## no heading\n```"))).toEqual([])
    expect(rules("docs/x.md", page([second]))).toEqual([])
  })

  test.each([
    ["in another order", [second, first, ...others]],
    ["one missing", [first, ...others]],
    ["one too many", [...PARTS, "More"]],
    ["another behind the reports", [...PARTS, "Reports", "More"]],
    ["none", []],
  ])("is found with its parts %s", (_, parts) => {
    for (const folder of ["plugins/x", "ipam/x", "docs/example-plugin"]) {
      expect(rules(`${folder}/README.md`, page(parts))).toEqual([expect.stringContaining("parts in this order")])
    }
  })
})

describe("conformance/README.md", () => {
  const files = {
    "conformance/gc.test.ts": "",
    "conformance/ptp/add.test.ts": [
      'describe("a pod", () => {',
      "  test.each([",
      '    ["without a gateway", 1],',
      '    ["masquerade", 2],',
      "  ])(",
      "    `with %s addresses \\`pings\\` it`,",
      "    () => {",
      '      call("DEL") // of a comment alone',
      "    },",
      "  )",
    ].join("\n"),
    "plugins/ptp/config.test.ts": 'test("ipMasq is read", () => {',
  }
  const inPtp = (text: string) =>
    rules(
      "conformance/README.md",
      `## ptp\n\nTests are in \`ptp/\`; pure ones in \`plugins/ptp/\`.\n\n${text}\n`,
      files,
    )

  test.each([
    '| a | `add.test.ts` "a pod" |',
    '| a | `add.test.ts` "a pod", "without a gateway" |',
    '| a | pure `config.test.ts` "ipMasq is"; `add.test.ts` "with … addresses `pings` it" |',
    '| no "such thing" here | `gc.test.ts` |',
    '| a | `plugins/ptp/config.test.ts` "ipMasq is read" |',
    'What it gets (`config.test.ts` "ipMasq is\nread").',
    "`bridge/*.test.ts` are others",
  ])("names what is there: %s", (text) => {
    expect(inPtp(text)).toEqual([])
  })

  test.each([
    ['| a | `add.test.ts` "a node" |', "a node"],
    ['| a | `add.test.ts` "of a comment alone" |', "of a comment alone"],
    ['| a | `add.test.ts` "DEL" |', "DEL"],
    ['| a | `add.test.ts` "masquerade" |', "masquerade"],
    ['| a | `add.test.ts` "it … with" |', "it … with"],
    ['| a | `gc.test.ts` "a pod" |', "a pod"],
    ['| a | `add.test.ts` "a pod" |\n| b | "without a gateway" |', "without a gateway"],
    ["| a | `chk.test.ts` |", "chk.test.ts"],
    ["Beyond that `ptp/chk.test.ts`.", "ptp/chk.test.ts"],
  ])("is found to name what is not: %s", (text, name) => {
    expect(inPtp(text)).toEqual([expect.stringContaining(name)])
  })

  test("may leave out a file that its section names", () => {
    const section = 'Tests are in `ptp/add.test.ts`.\n\n| a | "a pod" |\n'
    expect(rules("conformance/README.md", section, files)).toEqual([])
    expect(rules("conformance/README.md", `${section}\n## Other\n\n| a | "a pod" |\n`, files)).toHaveLength(1)
  })
})

test("other pages are held to the files of tests that they name with a folder, and quote what they like", () => {
  expect(rules("docs/x.md", "`conformance/gc.test.ts`\n", { "conformance/gc.test.ts": "" })).toEqual([])
  expect(rules("docs/x.md", "`conformance/gc.test.ts`\n")).toHaveLength(1)
  expect(rules("docs/x.md", 'as in `x.test.ts` "quote" and "word"\n')).toEqual([])
})
