import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Namespace } from "../../lab/namespace.ts"
import { Node } from "../../lab/node.ts"
import { output } from "../../lab/run.ts"
import { type Asked, Network, under } from "./network.ts"

/** 10.1.2.2 to 10.1.2.6 */
const FIVE = { subnet: "10.1.2.0/29" }

let made = 0

/** Gives `action` the path of a network namespace that is gone when this returns. */
function briefly<Value>(node: Node, action: (netns: string) => Value): Value {
  using namespace = new Namespace(`${node.name}-brief${++made}`)
  return action(namespace.path)
}

function leaseBriefly(network: Network, containerId: string, asked: Asked = {}): string {
  return briefly(network.node, (netns) => network.lease(containerId, { ...asked, netns }))
}

/** Leases all five addresses to pods that are gone. */
function exhaust(network: Network, asked: Asked = {}): void {
  for (const id of ["a", "b", "c", "d", "e"]) leaseBriefly(network, id, asked)
}

const EXHAUSTED = { exitCode: 1, error: { code: 103 } }

describe("an exhausted range", () => {
  test("is served from the leases of pods whose network namespace is gone, and stderr names them", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    exhaust(network)
    const { exitCode, result, stderr } = network.add("f", { netns: node.pod().path })
    expect({ exitCode, ips: result?.ips?.map(({ address }) => address) }).toEqual({ exitCode: 0, ips: ["10.1.2.2/29"] })
    const lines = stderr.trimEnd().split("\n")
    expect(lines).toHaveLength(5)
    for (const line of lines) {
      expect(line).toMatch(
        /^cni-ts host-local: removed lease 10\.1\.2\.\d of "[a-e]\\r\\neth0": its network namespace "\/run\/netns\/cnits-.*" is gone$/,
      )
    }
    expect(network.leases()).toEqual({ "10.1.2.2": "f\r\neth0" })
    expect(network.check("f").exitCode).toBe(0)
  })

  test("keeps the leases of pods that live", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const live = ["a", "b", "c", "d"].map((id) => ({ id, netns: node.pod().path }))
    for (const { id, netns } of live) network.lease(id, { netns })
    leaseBriefly(network, "e")
    expect(network.lease("f", { netns: node.pod().path })).toBe("10.1.2.6")
    expect(network.add("g", { netns: node.pod().path })).toMatchObject(EXHAUSTED)
    for (const { id, netns } of live) expect(network.check(id, { netns }).exitCode).toBe(0)
  })

  test("serves dual-stack pods: all addresses of a dead one are free", () => {
    using node = new Node()
    const network = new Network(node, { ranges: [[FIVE], [{ subnet: "fd00::/125" }]] })
    exhaust(network)
    const { result } = network.add("f", { netns: node.pod().path })
    expect(result?.ips?.map(({ address }) => address)).toEqual(["10.1.2.2/29", "fd00::7/125"])
    expect(Object.keys(network.leases())).toEqual(["10.1.2.2", "fd00::7"])
  })

  test("is no reason for STATUS to complain, and STATUS takes nothing back", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    exhaust(network)
    const before = network.files()
    expect(network.status()).toMatchObject({ exitCode: 0, stdout: "", stderr: "" })
    expect(network.files()).toEqual(before)
  })
})

describe("a dead pod's lease", () => {
  test("is taken back when its address is requested, or when the same attachment is made again", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    exhaust(network)
    expect(network.lease("f", { netns: node.pod().path, args: "IP=10.1.2.4" })).toBe("10.1.2.4")
    leaseBriefly(network, "g")
    const again = node.pod().path
    expect(network.add("g", { netns: again }).exitCode).toBe(0)
    expect(network.add("g", { netns: again }).error).toMatchObject({ code: 102 })
  })

  test("is taken back before the range is exhausted, when few addresses are left", () => {
    using node = new Node()
    const network = new Network(node, { subnet: "10.1.2.0/24" })
    leaseBriefly(network, "dead") // 10.1.2.2
    for (let host = 3; host < 245; host++) network.put(`10.1.2.${host}`, `other${host}\r\neth0`)
    expect(network.lease("next", { netns: node.pod().path })).toBe("10.1.2.245")
    expect(network.leases()["10.1.2.2"]).toBeUndefined()
  })

  test("of an earlier boot is free wherever its namespace was", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const pods = ["a", "b", "c", "d", "e"].map((id) => ({ id, netns: node.pod().path }))
    for (const { id, netns } of pods) network.lease(id, { netns })
    const call = network.call("ADD", "f", { netns: node.pod().path })
    expect(under(node, call, [])).toMatchObject(EXHAUSTED)
    expect(under(node, call, rebooted(node))).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining("of an earlier boot"),
    })
    expect(Object.keys(network.leases())).toHaveLength(1)
  })

  test("that the runtime still lists stays when GC runs, and goes when it is not listed", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    leaseBriefly(network, "listed")
    leaseBriefly(network, "forgotten")
    expect(network.gc([{ containerID: "listed", ifname: "eth0" }]).exitCode).toBe(0)
    expect(Object.values(network.leases())).toEqual(["listed\r\neth0"])
  })

  test("is known though the Go plugin changed the leases in between", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    for (const id of ["a", "b", "c"]) leaseBriefly(network, id)
    for (const id of ["go1", "go2"]) network.lease(id, { implementation: "reference", netns: node.pod().path })
    expect(network.lease("f", { netns: node.pod().path })).toBe("10.1.2.2")
    expect(network.leases()).toEqual({ "10.1.2.2": "f\r\neth0", "10.1.2.5": "go1\r\neth0", "10.1.2.6": "go2\r\neth0" })
  })
})

describe("in doubt a lease stays:", () => {
  test("one that the Go plugin made", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    exhaust(network, { implementation: "reference" })
    expect(network.add("f", { netns: node.pod().path })).toMatchObject(EXHAUSTED)
    expect(Object.keys(network.leases())).toHaveLength(5)
  })

  test("one that the Go plugin made anew for an attachment whose first namespace is gone", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    leaseBriefly(network, "a")
    const live = { implementation: "reference", netns: node.pod().path } as const
    network.del("a", live)
    network.put("last_reserved_ip.0", "10.1.2.6")
    expect(network.lease("a", live)).toBe("10.1.2.2") // the very file that the index knows
    for (const id of ["b", "c", "d", "e"]) network.lease(id, live)
    expect(network.add("f", { netns: node.pod().path })).toMatchObject(EXHAUSTED)
    expect(network.check("a").exitCode).toBe(0)
  })

  test("one of a namespace that a process is still in, or a single thread of it", async () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const enter =
      "import ctypes, os, sys\nctypes.CDLL(None).setns(os.open(sys.argv[1], 0), 0x40000000)\nprint('in', flush=True)\nsys.stdin.read()"
    const inThread = `import threading\ndef f():\n ${enter.replaceAll("\n", "\n ")}\nthreading.Thread(target=f).start()`
    for (const script of [enter, inThread]) {
      const namespace = new Namespace(`${node.name}-brief${++made}`)
      network.lease("a", { netns: namespace.path })
      const child = spawn("python3", ["-c", script, namespace.path], { stdio: ["pipe", "pipe", "inherit"] })
      try {
        await new Promise((resolve) => child.stdout.once("data", resolve))
        namespace[Symbol.dispose]()
        expect(network.add("a", { netns: node.pod().path }).error).toMatchObject({ code: 102 })
      } finally {
        const ended = new Promise((resolve) => child.once("close", resolve))
        child.stdin.end()
        await ended
      }
      expect(network.add("a", { netns: node.pod().path }).exitCode).toBe(0)
      network.del("a")
    }
  })

  test("one of a namespace that is mounted elsewhere as well", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    const elsewhere = join(node.dir, "elsewhere")
    writeFileSync(elsewhere, "")
    briefly(node, (netns) => {
      network.lease("a", { netns })
      output(["mount", "--bind", netns, elsewhere])
    })
    try {
      expect(network.add("a", { netns: node.pod().path }).error).toMatchObject({ code: 102 })
    } finally {
      output(["umount", elsewhere])
    }
    expect(network.add("a", { netns: node.pod().path }).exitCode).toBe(0)
  })

  test("one that was made in another mount namespace, where its path may lead elsewhere", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    leaseBriefly(network, "a")
    const call = network.call("ADD", "a", { netns: node.pod().path })
    expect(under(node, call, ["unshare", "-m"]).error).toMatchObject({ code: 102 })
    expect(under(node, call, []).exitCode).toBe(0)
  })

  test("one whose place cannot be examined", () => {
    using node = new Node()
    const network = new Network(node, FIVE)
    leaseBriefly(network, "a")
    const call = network.call("ADD", "a", { netns: node.pod().path })
    const blind = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    expect(under(node, call, blind).error).toMatchObject({ code: 102 })
    expect(under(node, call, []).exitCode).toBe(0)
  })

  test.each([["/etc/hostname"], ["/run/netns/none"], ["/etc/hostname/x"]])(
    "one whose CNI_NETNS was %s, no network namespace",
    (netns) => {
      using node = new Node()
      const network = new Network(node, FIVE)
      network.lease("a", { netns })
      expect(indexed(network)).not.toContain(" in ")
      expect(under(node, network.call("ADD", "a", { netns }), rebooted(node)).error).toMatchObject({ code: 102 })
    },
  )

  test("all, with reclaim switched off, and where they live is not even looked at", () => {
    using node = new Node()
    const network = new Network(node, { ...FIVE, reclaim: false })
    exhaust(network)
    expect(indexed(network)).not.toContain(" in ")
    expect(network.add("f", { netns: node.pod().path })).toMatchObject(EXHAUSTED)
  })
})

describe("to know where a pod lives", () => {
  test("costs ADD three looks at a file, the reading of one and a visit, and no more waiting for the disk", () => {
    using node = new Node()
    const cost = (reclaim: boolean) => {
      const network = new Network(node, { ...FIVE, reclaim })
      network.lease("first")
      network.del("first")
      const call = network.call("ADD", `c${reclaim}`, { netns: node.pod().path })
      const { calls, outcome } = node.trace("host-local", call, "file,fdatasync,setns")
      expect(outcome.exitCode).toBe(0)
      const start = calls.findIndex(({ args }) => args.includes("/run/netns/"))
      const own = calls.slice(start).filter(({ args }) => !args.includes("/self/statm"))
      const count = (name: string) => own.filter((made) => made.name === name).length
      const visits = count("setns") / 2
      return { looks: count("statx"), opened: count("openat"), synced: count("fdatasync"), visits }
    }
    const [on, off] = [cost(true), cost(false)]
    expect(on).toEqual({ looks: off.looks + 3, opened: off.opened + 2, synced: off.synced, visits: off.visits + 1 })
  })
})

/** Runs what follows on a machine that has been started again since, as far as it can tell. */
function rebooted(node: Node): string[] {
  const bootId = join(node.dir, "boot_id")
  writeFileSync(bootId, "00000000-1111-2222-3333-444444444444\n")
  return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"', bootId]
}

/** The index as text. */
function indexed(network: Network): string {
  mkdirSync(network.index, { recursive: true })
  return readdirSync(network.index)
    .map((name) => readFileSync(join(network.index, name), "utf8"))
    .join("")
}
