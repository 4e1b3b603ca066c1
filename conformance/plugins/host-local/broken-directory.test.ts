import { execFileSync } from "node:child_process"
import { linkSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { run } from "../../lab/run.ts"
import { Network, under } from "./network.ts"

const small = { subnet: "10.1.2.0/24" }

describe("what a crash or somebody else left in the directory", () => {
  test.each([
    ["an empty file", ""],
    ["zeros", "\0\0\0\0\0\0\0\0"],
    ["white space", "\r\n"],
  ])("%s under an address is garbage: the address is free again", (_, content) => {
    using node = new Node()
    const network = new Network(node, small)
    network.put("10.1.2.2", content)
    expect(network.lease("c")).toBe("10.1.2.2")
    expect(network.leases()).toEqual({ "10.1.2.2": "c\r\neth0" })
  })

  test("anything else under an address reserves it, and stays", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.put("10.1.2.2", "do not use: printer")
    network.put("10.1.2.3", "x".repeat(2 << 20))
    mkdirSync(join(network.directory, "10.1.2.4"))
    symlinkSync("/etc/hostname", join(network.directory, "10.1.2.5"))
    symlinkSync("nowhere", join(network.directory, "10.1.2.6"))
    execFileSync("mkfifo", [join(network.directory, "10.1.2.7")])
    expect(network.lease("c")).toBe("10.1.2.8")
    network.del("c")
    expect(readdirSync(network.directory)).toHaveLength(8)
  })

  test("a scratch file that is a second name of a lease is removed, not written to", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("a")
    linkSync(join(network.directory, "10.1.2.2"), join(network.directory, ".lease.tmp"))
    network.add("b")
    expect(network.leases()).toEqual({ "10.1.2.2": "a\r\neth0", "10.1.2.3": "b\r\neth0" })
    expect(Object.keys(network.files())).not.toContain(".lease.tmp")
  })

  test("symbolic links in the place of our own files are replaced, not followed", () => {
    using node = new Node()
    const network = new Network(node, small)
    const victim = join(node.dir, "victim")
    writeFileSync(victim, "precious")
    network.put("last_reserved_ip.1", "")
    for (const name of [".lease.tmp", "last_reserved_ip.0"]) symlinkSync(victim, join(network.directory, name))
    expect(network.lease("c")).toBe("10.1.2.2")
    expect(statSync(victim).size).toBe("precious".length)
    expect(network.files()["last_reserved_ip.0"]).toBe("600 10.1.2.2")
  })

  test("a symbolic link in the place of the lock is not followed: that would make a file elsewhere", () => {
    using node = new Node()
    const network = new Network(node, small)
    mkdirSync(network.directory, { recursive: true })
    symlinkSync(join(node.dir, "made"), join(network.directory, "lock"))
    expect(network.add("a").error).toMatchObject({ code: 101, msg: expect.stringContaining("ELOOP") })
    expect(readdirSync(node.dir)).not.toContain("made")
  })

  test("a named pipe in the place of the lock or of a hint does not hold us up", () => {
    using node = new Node()
    const network = new Network(node, small)
    mkdirSync(network.directory, { recursive: true })
    for (const name of ["lock", "last_reserved_ip.0"]) execFileSync("mkfifo", [join(network.directory, name)])
    expect(network.lease("c")).toBe("10.1.2.2")
    expect(network.del("c").exitCode).toBe(0)
  })
})

describe("the index", () => {
  const damage: [string, (network: Network) => void][] = [
    ["removed", (network) => rmSync(network.index, { recursive: true })],
    ["emptied part by part", (network) => eachPart(network, "")],
    ["emptied part by part as by a power cut, which keeps times", (network) => keepingTimes(network, "")],
    ["full of zeros, as by a power cut", (network) => keepingTimes(network, "\0".repeat(60))],
    [
      "a file",
      (network) => {
        rmSync(network.index, { recursive: true })
        writeFileSync(network.index, "")
      },
    ],
    ["nonsense", (network) => eachPart(network, 'cni-ts lease index 2\n"a\\r\\neth0" nonsense\n')],
    ["wrong", (network) => keepingTimes(network, 'cni-ts lease index 2\n"a\\r\\neth0" 10.1.2.77\n')],
  ]

  test.each(damage)("may be %s: leases are found all the same", (_, harm) => {
    using node = new Node()
    const network = new Network(node, small)
    for (const id of ["a", "b"]) network.add(id)
    harm(network)
    expect(network.check("a").exitCode).toBe(0)
    harm(network)
    expect(network.add("a").error?.msg).toContain("duplicate allocation")
    harm(network)
    expect(network.del("a").exitCode).toBe(0)
    expect(network.leases()).toEqual({ "10.1.2.3": "b\r\neth0" })
  })

  test.each([".cni-ts", ".cni-ts/net"])("is not looked for where a symbolic link %s leads", (name) => {
    using node = new Node()
    const network = new Network(node, small)
    const [victim, link] = [join(node.dir, "victim"), join(network.directory, "..", name)]
    for (const directory of [victim, join(victim, "net"), join(link, "..")]) mkdirSync(directory, { recursive: true })
    for (const file of ["precious", "ab", "net/precious", "net/ab"]) writeFileSync(join(victim, file), "x")
    const before = run(["ls", "-lRa", "--time-style=full-iso", victim]).stdout
    symlinkSync(victim, link)
    expect(network.lease("a")).toBe("10.1.2.2")
    expect(network.check("a").exitCode).toBe(0)
    expect(network.del("a").exitCode).toBe(0)
    expect(run(["ls", "-lRa", "--time-style=full-iso", victim]).stdout).toBe(before)
  })

  test("keeps its hands off files that are none of its own", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.add("a")
    writeFileSync(join(network.index, "notes"), "x")
    network.put("10.1.2.5", "b")
    network.add("c")
    expect(readdirSync(network.index)).toContain("notes")
  })

  test("of another moment than the leases, as after restoring a backup of either, is not believed", () => {
    using node = new Node()
    const network = new Network(node, small)
    const backup = join(node.dir, "backup")
    network.add("a")
    execFileSync("cp", ["-a", network.directory, backup])
    network.del("a")
    rmSync(network.directory, { recursive: true })
    execFileSync("cp", ["-a", backup, network.directory])
    expect(network.check("a").exitCode).toBe(0)
    expect(network.del("a").exitCode).toBe(0)
    expect(network.leases()).toEqual({})
  })

  function eachPart(network: Network, text: string): void {
    for (const name of readdirSync(network.index)) writeFileSync(join(network.index, name), text)
  }

  function keepingTimes(network: Network, text: string): void {
    const { atime, mtime } = statSync(network.index)
    eachPart(network, text)
    utimesSync(network.index, atime, mtime)
  }
})

/** Runs a call with a file system of its own mounted over the data directory; `after` prints to stderr. */
function mounted(network: Network, command: string, mount: string, after = "true") {
  const dataDir = dirname(network.directory)
  mkdirSync(dataDir, { recursive: true })
  const script = `${mount} && "$0"; code=$?; { ${after}; } >&2; exit $code`
  const inside = script.replaceAll("$DIR", dataDir)
  return under(network.node, network.call(command, "c"), ["unshare", "-m", "sh", "-c", inside])
}

describe("a data directory that cannot be written to", () => {
  const readOnly = "mount -t tmpfs -o size=1m none $DIR && mkdir $DIR/net && mount -o remount,ro $DIR"
  const leased = "mkdir $DIR/net; printf 'c\\r\\neth0' >$DIR/net/10.1.2.2; : >$DIR/net/lock"
  const full = `mount -t tmpfs -o size=64k none $DIR && ${leased}; cat /dev/zero >$DIR/fill 2>/dev/null; true`

  test("because it is read-only fails ADD with code 101 and STATUS with code 50, naming it", () => {
    using node = new Node()
    const network = new Network(node, small)
    const words = "EROFS (read-only file system)"
    expect(mounted(network, "ADD", readOnly).error).toMatchObject({
      code: 101,
      msg: expect.stringContaining(words),
      details: expect.stringContaining("ipam.dataDir"),
    })
    expect(mounted(network, "STATUS", readOnly).error).toMatchObject({ code: 50, msg: expect.stringContaining(words) })
  })

  test("because it is read-only does not keep CHECK from reading", () => {
    using node = new Node()
    const network = new Network(node, small)
    const mount = `mount -t tmpfs none $DIR && ${leased} && mount -o remount,ro $DIR`
    expect(mounted(network, "CHECK", mount)).toMatchObject({ exitCode: 0 })
    expect(mounted(network, "DEL", mount).error).toMatchObject({ code: 101, msg: expect.stringContaining("10.1.2.2") })
  })

  test("because it is full fails ADD and leaves no file; STATUS says so; DEL still frees", () => {
    using node = new Node()
    const network = new Network(node, small)
    const list = "ls -A $DIR/net"
    const add = mounted(network, "ADD", full.replace("'c", "'x"), list)
    expect(add.error).toMatchObject({ code: 101, msg: expect.stringContaining("ENOSPC (no space left on device)") })
    expect(add.stderr.split("\n").filter(Boolean)).toEqual(["10.1.2.2", "lock"])
    expect(mounted(network, "STATUS", full).error).toMatchObject({ code: 50, msg: expect.stringContaining("ENOSPC") })
    const del = mounted(network, "DEL", full, list)
    expect(del).toMatchObject({ exitCode: 0 })
    expect(del.stderr.split("\n").filter(Boolean)).toEqual(["lock"])
  })

  test("because it is a file fails every verb that needs it, naming it", () => {
    using node = new Node()
    const network = new Network(node, small)
    writeFileSync(dirname(network.directory), "")
    const words = { msg: expect.stringContaining(dirname(network.directory)) }
    expect(network.add("c").error).toMatchObject({ code: 101, ...words })
    expect(network.del("c").error).toMatchObject({ code: 101, ...words })
    expect(network.check("c").error).toMatchObject({ code: 101, ...words })
    expect(network.status().error).toMatchObject({ code: 50, ...words })
  })

  describe.each([
    ["the data directory", (directory: string) => dirname(directory)],
    ["the network's directory in it", (directory: string) => directory],
  ])("because %s is a symbolic link that leads nowhere, as to a disk that is not mounted yet,", (_, place) => {
    test("fails ADD with code 101 and STATUS with code 50, which say so and what to do; nothing is made", () => {
      using node = new Node()
      const network = new Network(node, small)
      const [link, target] = [place(network.directory), join(node.dir, "disk/leases")]
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(target, link)
      const words = {
        msg: `cannot use ${link}: it is a symbolic link that leads nowhere`,
        details: expect.stringContaining("mount the file system"),
      }
      expect(network.add("c").error).toMatchObject({ code: 101, ...words })
      expect(network.status().error).toMatchObject({ code: 50, ...words })
      expect(network.del("c").exitCode).toBe(0)
      expect(readdirSync(node.dir)).not.toContain("disk")
      mkdirSync(target, { recursive: true })
      expect(network.status().exitCode).toBe(0)
      expect(network.lease("c")).toBe("10.1.2.2")
    })
  })

  test.each([
    ["ENOLCK", "no locks available"],
    ["ENOSYS", "function not implemented"],
    ["EOPNOTSUPP", "operation not supported"],
  ])("because its file system has no locks (%s) fails ADD, DEL and STATUS, and says so", (errno, meaning) => {
    using node = new Node()
    const network = new Network(node, small)
    const without = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", `inject=flock:error=${errno}`]
    const ask = (command: string) => under(node, network.call(command, "c"), without).error
    const details = expect.stringMatching(/^its file system has no locks of flock\(2\).*ipam\.dataDir$/)
    expect(ask("STATUS")).toMatchObject({ code: 50, msg: expect.stringContaining(`${errno} (${meaning})`), details })
    network.add("other")
    for (const [command, code] of Object.entries({ ADD: 101, DEL: 101, CHECK: 101, GC: 101, STATUS: 50 })) {
      const msg = `cannot lock ${network.directory}/lock: ${errno} (${meaning})`
      expect(ask(command), command).toMatchObject({ code, msg, details })
    }
  })

  test("because the lock is a symbolic link fails STATUS as it fails ADD", () => {
    using node = new Node()
    const network = new Network(node, small)
    network.put("precious", "")
    symlinkSync(join(network.directory, "precious"), join(network.directory, "lock"))
    const words = { msg: expect.stringContaining("ELOOP") }
    expect(network.add("c").error).toMatchObject({ code: 101, ...words })
    expect(network.status().error).toMatchObject({ code: 50, ...words })
  })

  test.each(["relative/leases", "../leases", "/tmp/\0/leases"])(
    "because it is %j is refused with code 7",
    (dataDir) => {
      using node = new Node()
      const network = new Network(node, { ...small, dataDir })
      for (const outcome of [network.add("c"), network.del("c"), network.status()]) {
        expect(outcome.error).toMatchObject({ code: 7, msg: expect.stringContaining("ipam.dataDir") })
      }
    },
  )
})

describe("on another file system", () => {
  const overlay =
    "mkdir -p $DIR/l/net $DIR/u $DIR/w; mount -t overlay -o lowerdir=$DIR/l,upperdir=$DIR/u,workdir=$DIR/w none $DIR"
  test.each([
    ["tmpfs", "mount -t tmpfs none $DIR"],
    ["overlayfs", overlay],
  ])("%s, the index spares reading the leases as well", (_, mount) => {
    using node = new Node()
    const network = new Network(node, small)
    const log = join(node.dir, "strace.out")
    const lease = "mkdir -p $DIR/net; printf 'x\\r\\neth0' >$DIR/net/10.1.2.77"
    const again = `CNI_CONTAINERID=d strace -f -o ${log} -e trace=openat "$0" <${node.dir}/config >/dev/null`
    writeFileSync(join(node.dir, "config"), JSON.stringify(network.config))
    const trace = `${again}; grep -c 10.1.2.77 ${log}; ls $DIR/net`
    const outcome = mounted(network, "ADD", `${mount} && ${lease}`, trace)
    expect(outcome.stderr.split("\n").filter(Boolean)).toEqual([
      "0",
      "10.1.2.2",
      "10.1.2.3",
      "10.1.2.77",
      "last_reserved_ip.0",
      "lock",
    ])
  })
})
