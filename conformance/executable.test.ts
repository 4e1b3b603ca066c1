import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { binDirectory } from "./lab/executables.ts"
import { Node } from "./lab/node.ts"
import { run } from "./lab/run.ts"
import { parseTrace } from "./lab/strace.ts"

const node = new Node()
afterAll(() => node[Symbol.dispose]())

const BRIDGE = join(binDirectory(), "bridge")
const VERSION = { CNI_COMMAND: "VERSION" }
const ANSWER = expect.stringMatching(/^\{"cniVersion":"1.1.0","supportedVersions":\[.*\]\}\n$/)

/** A directory whose files would take over, were they read: each code file in it would leave a mark. */
function trap(): { directory: string; sprung: () => boolean } {
  const directory = join(node.dir, "trap")
  const mark = join(directory, "sprung")
  mkdirSync(directory, { recursive: true })
  const files = {
    ".env": "CNI_COMMAND=STATUS\nBUN_OPTIONS=--preload=./code.mjs\n",
    "bunfig.toml": 'preload = ["./code.mjs"]\n',
    "package.json": '{"type":"module","imports":{"#x":"./code.mjs"},"main":"./code.mjs"}',
    "tsconfig.json": '{"compilerOptions":{"jsxImportSource":"./code.mjs","paths":{"*":["./code.mjs"]}}}',
    "code.mjs": `import { writeFileSync } from "node:fs"\nwriteFileSync(${JSON.stringify(mark)}, "")\n`,
    "code.cjs": `require("node:fs").writeFileSync(${JSON.stringify(mark)}, "")\n`,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  return { directory, sprung: () => existsSync(mark) }
}

describe("in a directory with .env, bunfig.toml, package.json and tsconfig.json", () => {
  const { directory, sprung } = trap()

  test("it answers as anywhere else, and opens none of them", () => {
    const file = join(node.dir, "strace.out")
    const enter = ["env", "-C", directory, "strace", "-f", "-qq", "-o", file, "-e", "trace=%file", BRIDGE]
    expect(run(enter, { env: { ...VERSION, PATH: process.env["PATH"] ?? "" } })).toMatchObject({ stdout: ANSWER })
    const { calls } = parseTrace(file)
    const touched = calls.filter(({ args }) => /\.env|bunfig|package\.json|tsconfig|code\./.test(args))
    expect([calls.length > 0, touched]).toEqual([true, []])
    expect(sprung()).toBe(false)
  })

  test.each([
    ["BUN_OPTIONS", `--preload=${directory}/code.mjs`],
    ["BUN_OPTIONS", `--preload=${directory}/code.cjs`],
    ["BUN_OPTIONS", `--import=${directory}/code.mjs`],
    ["BUN_OPTIONS", `--config=${directory}/bunfig.toml`],
    ["BUN_INSPECT_PRELOAD", `${directory}/code.mjs`],
    ["NODE_OPTIONS", `--require=${directory}/code.cjs`],
  ])("%s=%s runs no code", (name, value) => {
    run(["env", "-C", directory, BRIDGE], { env: { ...VERSION, [name]: value, PATH: process.env["PATH"] ?? "" } })
    expect(sprung()).toBe(false)
  })

  test.each([
    "--version",
    "--help",
    "--smol",
    "--eval=1",
    "run code.mjs",
    "--cwd=/",
    `--preload=${directory}/code.mjs`,
    `--config=${directory}/bunfig.toml`,
  ])("BUN_OPTIONS=%s changes nothing", (value) => {
    expect(run([BRIDGE], { env: { ...VERSION, BUN_OPTIONS: value } })).toMatchObject({ exitCode: 0, stdout: ANSWER })
  })
})

describe("on a node that has nothing but glibc and /proc", () => {
  const pod = node.pod()
  const config = {
    cniVersion: "1.0.0",
    name: "bare",
    type: "bridge",
    bridge: "bare0",
    isDefaultGateway: true,
    ipam: { type: "host-local", dataDir: "/run/leases", ranges: [[{ subnet: "10.77.0.0/24" }]] },
  }

  /** A root of its own, read-only save for /run: the executable, its libraries, /proc, the pod's namespace. */
  function bare(command: string) {
    const script = `
      root=$1 bin=$2; shift 2
      mkdir -p $root; mount -t tmpfs none $root
      mkdir -p $root/bin $root/proc $root/run/netns $root/run/leases
      for lib in $(ldd $bin/bridge | grep -o '/[^ ]*'); do mkdir -p $root$(dirname $lib); cp -L $lib $root$lib; done
      mount --bind $bin $root/bin; mount -t proc none $root/proc; mount --rbind /run/netns $root/run/netns
      mkdir -p $LEASES; mount --bind $LEASES $root/run/leases
      mount -o remount,ro,bind $root
      exec chroot $root /bin/bridge`
    const env = {
      PATH: process.env["PATH"] ?? "",
      LEASES: join(node.dir, "leases"),
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/bin",
    }
    const shell = ["unshare", "-m", "sh", "-euc", script, "sh", join(node.dir, "root"), binDirectory()]
    return run(node.inside(shell), { env, stdin: JSON.stringify(config) })
  }

  test("without HOME, /tmp or any file it could write to, it connects a pod and takes it down again", () => {
    const added = bare("ADD")
    expect(added).toMatchObject({ exitCode: 0, stderr: "" })
    expect(JSON.parse(added.stdout).ips).toMatchObject([{ address: "10.77.0.2/24" }])
    expect(pod.addresses("eth0")).toContain("10.77.0.2/24")
    expect(pod.pings("10.77.0.1")).toBe(true)
    expect(bare("DEL")).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(pod.link("eth0")).toBeUndefined()
  })
})
