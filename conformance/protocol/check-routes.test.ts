import { describe, expect, test } from "vitest"
import type { Result } from "../lab/call.ts"
import { Node, type Pod } from "../lab/node.ts"
import { output } from "../lab/run.ts"
import { type Config, DUAL, hostLocal, Network } from "../plugins/bridge/network.ts"
import { dualOfLan, macvlan, plugIn } from "../plugins/macvlan/network.ts"
import { ptp } from "../plugins/ptp/network.ts"

const QUIET = { exitCode: 0, stdout: "" }

/** A dual-stack network of each plugin, with routes. */
const NETWORKS: Readonly<Record<string, (node: Node, routes: readonly Config[]) => Network>> = {
  bridge: (node, routes) => new Network(node, { isDefaultGateway: true, ipam: hostLocal(node, DUAL, { routes }) }),
  ptp: (node, routes) => ptp(node, { ipam: hostLocal(node, DUAL, { routes }) }),
  macvlan: (node, routes) => {
    plugIn(node)
    return macvlan(node, { ipam: { ...dualOfLan(node), routes } })
  },
}

describe.each(Object.entries(NETWORKS))("CHECK right after ADD of %s", (type, network) => {
  test.each(["1100:200::1/24", "::1/0", "fd05::ffff/112"])(
    "succeeds with a route to %s, whose host bits the kernel clears, and fails without it",
    (dst) => {
      using node = new Node({ detection: "quick" })
      const pod = node.pod()
      const made = network(node, [{ dst }])
      const result = made.connect(pod)
      expect(made.check(pod, result)).toMatchObject(QUIET)
      output(pod.inside(["ip", "-6", "route", "del", dst]))
      expect(made.check(pod, result).error).toMatchObject({ code: 104, msg: expect.stringContaining(`route ${dst}`) })
    },
  )

  test("succeeds behind sbr, which moves routes to other tables, and fails once they are gone from there", () => {
    using node = new Node({ detection: "quick" })
    const pod = node.pod()
    const made = network(node, [{ dst: "10.5.0.0/16" }, { dst: "fd05::/64" }])
    const result = behindSbr(made, pod, made.connect(pod))
    expect(pod.ip("route", "show")).toEqual([])
    expect(made.check(pod, result)).toMatchObject(QUIET)
    for (const table of ["100", "101"]) pod.run("ip", "route", "del", "10.5.0.0/16", "table", table)
    expect(made.check(pod, result).error).toMatchObject({ code: 104, msg: expect.stringContaining("10.5.0.0/16") })
  })

  test("fails where a route has been replaced by one that refuses", () => {
    using node = new Node({ detection: "quick" })
    const pod = node.pod()
    const made = network(node, [{ dst: "10.5.0.0/16" }])
    const result = made.connect(pod)
    output(pod.inside(["ip", "route", "del", "10.5.0.0/16"]))
    output(pod.inside(["ip", "route", "add", "unreachable", "10.5.0.0/16"]))
    expect(made.check(pod, result).error).toMatchObject({ code: 104, msg: expect.stringContaining("10.5.0.0/16") })
  })

  test("fails where another of the pod's interfaces has the route in another table", () => {
    using node = new Node({ detection: "quick" })
    const pod = node.pod()
    const made = network(node, [{ dst: "10.5.0.0/16" }])
    const result = made.connect(pod)
    pod.ip("link", "add", "other", "up", "type", "veth", "peer", "name", "far")
    output(pod.inside(["ip", "route", "del", "10.5.0.0/16"]))
    output(pod.inside(["ip", "route", "add", "10.5.0.0/16", "dev", "other", "table", "100"]))
    expect(made.check(pod, result).error, type).toMatchObject({ code: 104 })
  })
})

function behindSbr({ node, config }: Network, netns: Pod, prevResult: Result): Result {
  const sbr = { cniVersion: config["cniVersion"], name: config["name"], type: "sbr", prevResult }
  const { result, stdout } = node.call("sbr", { command: "ADD", netns, config: sbr, implementation: "reference" })
  if (!result) throw new Error(`sbr: ${stdout}`)
  return result
}
