import { expect, test } from "vitest"
import { Node, type Pod } from "../../lab/node.ts"
import { output, run } from "../../lab/run.ts"
import type { Config } from "../bridge/network.ts"
import { tap } from "./network.ts"

/** Opens the device and attaches to `eth0` by TUNSETIFF with these flags (IFF_TAP, IFF_NO_PI, ...); says "yes", or why it cannot. */
const ATTACH = `open($device, "+<", $ARGV[0]) or die; my $request = pack("a16Sx22", "eth0", $ARGV[1]);
print ioctl($device, 0x400454ca, $request) ? "yes" : "$!"`

/** The container's device: every user may open it. */
function deviceOf(node: Node): string {
  const path = `${node.dir}/tun`
  output(["mknod", path, "c", "10", "200"])
  output(["chmod", "666", path])
  output(["chmod", "755", node.dir])
  return path
}

function attach(pod: Pod, device: string, [uid, gid]: readonly [number, number], flags = 0x1002): string {
  const user = ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"]
  return run(pod.inside([...user, "perl", "-e", ATTACH, device, String(flags)])).stdout
}

test("a process of the owner, or of the group, attaches without privileges; nobody else does", () => {
  using node = new Node()
  const device = deviceOf(node)
  const users = [
    [1234, 1],
    [5, 1234],
    [5, 5],
  ] as const
  const who = (config: Config) => {
    const pod = node.pod()
    tap(node, config).connect(pod)
    return users.map((user) => attach(pod, device, user))
  }
  const no = "Operation not permitted"
  expect(who({})).toEqual(["yes", "yes", "yes"])
  expect(who({ owner: 1234 })).toEqual(["yes", no, no])
  expect(who({ group: 1234 })).toEqual([no, "yes", no])
  expect(who({ owner: 1234, group: 1 })).toEqual(["yes", no, no])
})

test("a tap of several queues is attached to as such, any other as one of one queue; it survives", () => {
  using node = new Node()
  const device = deviceOf(node)
  const how = (config: Config) => {
    const pod = node.pod()
    tap(node, config).connect(pod)
    const answers = [0x1002, 0x1102].map((flags) => attach(pod, device, [0, 0], flags))
    expect(pod.link("eth0")?.linkinfo?.info_data?.["persist"]).toBe(true)
    return answers
  }
  expect(how({})).toEqual(["yes", "Invalid argument"])
  expect(how({ multiQueue: true })).toEqual(["Invalid argument", "yes"])
})
