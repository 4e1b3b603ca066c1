import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { binDirectory } from "../lab/executables.ts"
import { run } from "../lab/run.ts"
import { PODNET } from "../systems/containerd/cluster-node.ts"
import { OperatedNode } from "./operated-node.ts"

/** A node in trouble: what cannot be seen is said, the rest is looked at, and nothing that is not seen is taken for a fault. */
let node: OperatedNode
let results: string
let leases: string
beforeAll(() => {
  node = new OperatedNode()
  node.sysctl("net/bridge/bridge-nf-call-iptables", "0")
  node.configure(PODNET)
  node.attach(PODNET, {
    name: "shop/cart",
    capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
  })
  node.attach(PODNET, { name: "shop/web" })
  results = join(node.dir, "var-lib/cni/results")
  leases = join(node.dir, "var-lib/cni/networks/podnet")
})
afterAll(() => node[Symbol.dispose]())
beforeEach(() => expect(node.doctor()).toMatchObject({ exitCode: 0, attachments: 2 }))

/** Runs doctor without some of root's capabilities. */
const without = (...names: string[]) => [
  "setpriv",
  `--bounding-set=${names.map((name) => `-${name}`).join()}`,
  `--inh-caps=${names.map((name) => `-${name}`).join()}`,
  "--",
]
/** Root reads whatever it wants to but without these. */
const ORDINARY = without("dac_override", "dac_read_search")

test.each([
  [["doctor", "nobody"]],
  [["doctor", "-o", "yaml"]],
  [["repair", "nobody", "--yes"]],
  [["leases", "nonet"]],
  [["gc", "nonet", "--yes"]],
  [["show", "--svg", "/nowhere/node.svg"]],
  [["explain", "/nowhere/list"]],
  [["record"]],
])("what cannot be looked at is no finding: it is said in a line, with status 2: %j", (args) => {
  const { exitCode, stdout, stderr } = node.cniTs(...args)
  expect([exitCode, stdout]).toEqual([2, ""])
  expect(stderr).toMatch(new RegExp(`^cni-ts ${args[0]}: .+\n$`))
})

test("a terminal gets colours, unless NO_COLOR is set; a file or pipe none", () => {
  const said = "healthy: 2 attachments looked at"
  const onTerminal = ["script", "-qec", "/opt/cni/bin/cni-ts doctor", "/dev/null"]
  expect(node.shell(onTerminal.map((word) => `'${word}'`).join(" ")).stdout).toBe(`\x1b[32m${said}\x1b[0m\r\n`)
  expect(node.shell(`NO_COLOR=1 ${onTerminal.map((word) => `'${word}'`).join(" ")}`).stdout).toBe(`${said}\r\n`)
  expect(node.shell("/opt/cni/bin/cni-ts doctor | cat").stdout).toBe(`${said}\n`)
})

describe("memories of the runtime", () => {
  test.each([
    ["empty", ""],
    ["half-written", '{"kind":"cniCacheV1","conta'],
    ["of another kind of value", "[1]"],
    ["without what it is about", '{"kind":"cniCacheV1","networkName":"podnet"}'],
    [
      "with a result that is none",
      '{"kind":"cniCacheV1","containerId":"x","result":{"cniVersion":"1.0.0","ips":[{"address":"no"}]}}',
    ],
    ["of bytes that are no text", "\xff\xfe\u0000"],
    ["larger than any is", " ".repeat(5 << 20)],
  ])("that are %s are named", (_, text) => {
    const file = join(results, "podnet-broken-eth0")
    writeFileSync(file, text, "latin1")
    const { exitCode, findings, unseen, attachments } = node.doctor()
    rmSync(file)
    expect([exitCode, findings, attachments]).toEqual([2, [], 2])
    expect(unseen).toEqual([expect.stringContaining("cannot read /var/lib/cni/results/podnet-broken-eth0: ")])
  })

  test("that may not be read: one, and all of them", () => {
    const one = join(
      results,
      readdirSync(results).find((name) => readFileSync(join(results, name), "utf8").includes('"web"')) ?? "",
    )
    chmodSync(one, 0)
    expect(node.doctorAs(ORDINARY)).toMatchObject({
      exitCode: 2,
      findings: [],
      attachments: 1,
      unseen: [expect.stringContaining("EACCES")],
    })
    chmodSync(one, 0o600)
    chmodSync(results, 0)
    expect(node.doctorAs(ORDINARY)).toMatchObject({
      exitCode: 2,
      attachments: 0,
      unseen: [expect.stringContaining("/var/lib/cni/results: EACCES")],
    })
    chmodSync(results, 0o700)
  })

  test("among what is none", () => {
    mkdirSync(join(results, "directory"))
    writeFileSync(join(results, "result-of-an-old-libcni"), '{"cniVersion":"0.3.1"}')
    const { exitCode, unseen } = node.doctor()
    rmSync(join(results, "directory"), { recursive: true })
    rmSync(join(results, "result-of-an-old-libcni"))
    expect([exitCode, unseen]).toEqual([2, [expect.stringContaining("/results/directory")]])
  })
})

describe("leases", () => {
  test("that are half-written: a pod lost its own", () => {
    const file = join(leases, "10.244.1.2")
    const before = readFileSync(file)
    rmSync(file) // the pod's other lease is the same file
    for (const text of ["", "con", "\r\n"]) {
      writeFileSync(file, text)
      expect(node.doctor().findings.map(({ kind, about }) => `${kind} ${about}`)).toEqual(["no-lease shop/cart"])
    }
    writeFileSync(file, before)
  })

  test("that may not be read are no missing ones: one, and all of them", () => {
    chmodSync(join(leases, "10.244.1.2"), 0)
    expect(node.doctorAs(ORDINARY)).toMatchObject({
      exitCode: 2,
      findings: [],
      unseen: expect.arrayContaining([expect.stringContaining("10.244.1.2: EACCES")]),
    })
    chmodSync(join(leases, "10.244.1.2"), 0o600)
    chmodSync(leases, 0)
    expect(node.doctorAs(ORDINARY)).toMatchObject({
      exitCode: 2,
      findings: [],
      unseen: [expect.stringContaining("podnet: EACCES")],
    })
    chmodSync(leases, 0o755)
  })
})

/** Mounts at its first argument, for the program behind it, a file system of a server that never answers. */
const STUCK = `
import ctypes, os, sys
server = os.open("/dev/fuse", os.O_RDWR)
os.makedirs(sys.argv[1], exist_ok=True)
options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None, use_errno=True).mount(b"stuck", sys.argv[1].encode(), b"fuse", 0, options): raise OSError(ctypes.get_errno(), "mount")
os.set_inheritable(server, True)
os.execv(sys.argv[2], sys.argv[2:])`
const stuckAt = (path: string) => ["timeout", "-s", "KILL", "60", "python3", "-c", STUCK, path]

describe("directories on a file system that does not answer are waited for a while", () => {
  const words = (path: string) => `${path} is on a file system of type fuse, which does not answer: it is not looked at`

  test.each([
    ["the runtime's memories", "/var/lib/cni/results", 0],
    ["leases", "/var/lib/cni/networks/podnet", 2],
    ["networks", "/etc/cni/net.d", 2],
  ])("%s", (_, path, attachments) => {
    const { exitCode, findings, unseen, ...rest } = node.doctorAs(stuckAt(path))
    expect([exitCode, findings, rest.attachments]).toEqual([2, [], attachments])
    expect(unseen).toEqual([words(path)])
  })

  test("plugins: that one is missing is not said", () => {
    node.configure({ ...PODNET, name: "other", plugins: [{ type: "gadget" }] })
    const { exitCode, findings, unseen } = node.doctorAs(stuckAt("/usr/lib/cni"))
    rmSync(join(node.networks, "other.conflist"))
    expect([exitCode, findings, unseen]).toEqual([2, [], [words("/usr/lib/cni")]])
  })

  test("the process that waits for one ends as soon as it answers, whatever that is", () => {
    for (const path of ["/", "/nowhere", node.dir, leases]) {
      const asked = run([join(binDirectory(), "cni-ts"), "doctor"], { env: { CNI_TS_LOOK_INTO: path } })
      expect(asked).toEqual({ exitCode: 0, stdout: "", stderr: "" })
    }
  })

  test("show and leases say what is left", () => {
    const say = (...args: string[]) => node.cniTsAs(stuckAt("/var/lib/cni/networks/podnet"), ...args)
    expect(say("show")).toMatchObject({ exitCode: 2, stderr: "", stdout: expect.stringContaining("shop/cart") })
    expect(say("leases")).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("could not be seen") })
  })
})

test("pipes and devices among memories, leases and networks are not waited for", () => {
  const places = [join(results, "pipe"), join(leases, "10.244.1.77"), join(node.networks, "99-pipe.conflist")]
  for (const path of places) node.run("mkfifo", path)
  node.run("mknod", join(results, "zero"), "c", "1", "5")
  const { exitCode, findings, unseen } = node.doctorAs(["timeout", "-s", "KILL", "60"])
  const shown = ["show", "leases"].map((command) => node.cniTsAs(["timeout", "-s", "KILL", "60"], command).exitCode)
  for (const path of [...places, join(results, "zero")]) rmSync(path)
  expect([exitCode, findings.map(({ kind, about }) => [kind, about]), shown]).toEqual([
    1,
    [["broken-network", "/etc/cni/net.d/99-pipe.conflist"]],
    [1, 2],
  ])
  expect(unseen).toEqual(["pipe", "zero"].map((name) => expect.stringContaining(`/var/lib/cni/results/${name}: `)))
})

describe("namespaces", () => {
  const moved = (netns: string, look: () => void) => {
    const [name = ""] = readdirSync(results)
    const before = readFileSync(join(results, name), "utf8")
    writeFileSync(join(results, name), before.replaceAll(/\/run\/netns\/[^"]*/g, netns))
    try {
      look()
    } finally {
      writeFileSync(join(results, name), before)
    }
  }

  test("on a file system that does not answer are not waited for", () => {
    moved("/run/cnits-stuck/pod", () => {
      const { exitCode, findings, unseen } = node.doctorAs(stuckAt("/run/cnits-stuck"))
      expect([exitCode, findings]).toEqual([2, []])
      expect(unseen).toEqual([
        "/run/cnits-stuck/pod is on a file system of type fuse, which may never answer: it is not looked at",
      ])
      rmSync("/run/cnits-stuck", { recursive: true })
    })
  })

  test("that are a pipe nobody writes to, or a file, are none", () => {
    const pipe = join(node.dir, "pipe")
    node.run("mkfifo", pipe)
    for (const path of [pipe, "/proc/self/status"]) {
      moved(path, () => {
        const { exitCode, unseen } = node.doctorAs(["timeout", "-s", "KILL", "60"])
        expect([exitCode, unseen]).toEqual([
          2,
          expect.arrayContaining([expect.stringContaining(`enter network namespace ${path}`)]),
        ])
      })
    }
  })

  test("of processes that /proc hides are not taken for gone", () => {
    const hidden = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    const launcher = [
      "sh",
      "-c",
      hidden,
      "sh",
      ...without("sys_ptrace"),
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "--inh-caps=+net_admin,+sys_admin",
      "--ambient-caps=+net_admin,+sys_admin",
      "--",
    ]
    chmodSync(results, 0o755)
    for (const name of readdirSync(results)) chmodSync(join(results, name), 0o644)
    moved("/proc/1/ns/net", () => {
      const { exitCode, findings, unseen } = node.doctorAs(launcher)
      expect(findings.map(({ kind }) => kind)).not.toContain("no-namespace")
      expect(unseen).toContainEqual(expect.stringContaining("cannot see if /proc/1/ns/net exists: EACCES"))
      expect(exitCode).toBe(2)
    })
    expect(node.doctor().findings).toEqual([])
  })

  test("without /proc cannot be entered", () => {
    const { exitCode, findings, unseen } = node.doctorAs(["sh", "-c", 'umount -l /proc; exec "$@"', "sh"])
    expect([exitCode, findings]).toEqual([2, []])
    expect(unseen.join("\n")).toMatch(/there is no \/proc/)
  })
})

describe("privileges", () => {
  const faults = () => {
    node.ip("link", "set", "cni0", "mtu", "1400")
    node.sysctl("net/ipv4/ip_forward", "0")
    node.run("nft", "flush", "ruleset")
  }
  const mended = () => {
    node.ip("link", "set", "cni0", "mtu", "1500")
    node.sysctl("net/ipv4/ip_forward", "1")
    node.cniTs("repair", "--yes")
  }

  test.each([
    { lacks: ["sys_admin"], finds: ["host-ports", "no-forwarding"], says: /cannot enter network namespace/ },
    { lacks: ["net_admin"], finds: ["mtu", "mtu", "no-forwarding"], says: /EPERM/ },
    { lacks: ["sys_admin", "net_admin"], finds: ["no-forwarding"], says: /EPERM/ },
  ])("without $lacks it says what it did not see, and what it found", ({ lacks, finds, says }) => {
    const healthy = node.doctorAs(without(...lacks))
    expect([healthy.exitCode, healthy.findings]).toEqual([2, []])
    expect(healthy.unseen.join("\n")).toMatch(says)
    faults()
    const { exitCode, findings, unseen } = node.doctorAs(without(...lacks))
    mended()
    expect([exitCode, findings.map(({ kind }) => kind).sort()]).toEqual([1, finds])
    expect(unseen).toEqual(healthy.unseen)
  })

  test("of an ordinary user are enough for a few words", () => {
    const { exitCode, unseen } = node.doctorAs(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"])
    expect(exitCode).toBeGreaterThan(0)
    expect(unseen.length).toBeGreaterThan(0)
  })
})

test("people are told of the first few things that were not seen", () => {
  for (let count = 0; count < 20; count++) writeFileSync(join(results, `broken-${count}`), "{")
  const { stdout } = node.cniTs("doctor")
  for (let count = 0; count < 20; count++) rmSync(join(results, `broken-${count}`))
  expect(stdout.split("\n").filter((line) => line.startsWith("  "))).toHaveLength(9)
  expect(stdout).toContain("  and 12 more: -o json lists them\n")
  expect(stdout).toMatch(/no findings, but not all could be seen; 2 attachments looked at\n$/)
})
