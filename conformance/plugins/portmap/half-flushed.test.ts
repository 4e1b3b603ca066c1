import { describe, expect, test } from "vitest"
import { Node } from "../../lab/node.ts"
import { nft, Portmap, QUIET, rules, ruleset, tcp, udp } from "./network.ts"

const [ONE, TWO] = [
  ["10.1.0.2/24", "fd00::2/64"],
  ["10.1.0.3/24", "fd00::3/64"],
] as const
const PORTS = [tcp(8080), udp(53)]
const OTHERS = [tcp(9090)]

/** Harm that somebody does to the table, in both families. */
const DAMAGES = [
  ["flush set FAMILY cni_hostport containers"],
  ["flush set FAMILY cni_hostport claims"],
  ["delete set FAMILY cni_hostport containers"],
  ["delete set FAMILY cni_hostport claims"],
  ["delete set FAMILY cni_hostport claims", "delete set FAMILY cni_hostport containers"],
  ["flush chain FAMILY cni_hostport hostports_all"],
  ["flush chain FAMILY cni_hostport prerouting", "delete chain FAMILY cni_hostport prerouting"],
  ["flush chain FAMILY cni_hostport masquerading", "delete chain FAMILY cni_hostport masquerading"],
  ["flush chain FAMILY cni_hostport hostports"],
].map((commands) => [commands.join("; ").replaceAll("FAMILY cni_hostport ", ""), commands] as const)

describe.each(DAMAGES)("after nft %s", (_, commands) => {
  /** Two pods, and then the damage. */
  function scene(node: Node) {
    const [one, two] = [node.pod(), node.pod()]
    const portmap = new Portmap(node)
    portmap.map(one, PORTS, ONE)
    portmap.map(two, OTHERS, TWO)
    for (const family of ["ip", "ip6"]) nft(node, ...commands.map((command) => command.replace("FAMILY", family)))
    return { portmap, one, two }
  }

  const rulesOf = (node: Node, containerId: string) =>
    ruleset(node).filter(({ rule }) => rule?.["comment"] === containerId).length

  test("DEL leaves nothing of the pod, and all that is left of another", () => {
    using node = new Node()
    const { portmap, one, two } = scene(node)
    const left = rulesOf(node, two.containerId)
    expect(portmap.del(one)).toMatchObject(QUIET)
    expect([rulesOf(node, one.containerId), rulesOf(node, two.containerId)]).toEqual([0, left])
    expect(portmap.del(two)).toMatchObject(QUIET)
    expect(ruleset(node).filter(({ rule }) => rule?.["comment"])).toEqual([])
  })

  test("GC removes the pod that is gone, and no other", () => {
    using node = new Node()
    const { portmap, one, two } = scene(node)
    const left = rulesOf(node, two.containerId)
    expect(portmap.gc([two]).exitCode).toBe(0)
    expect([rulesOf(node, one.containerId), rulesOf(node, two.containerId)]).toEqual([0, left])
    expect(portmap.gc([]).exitCode).toBe(0)
    expect(ruleset(node).filter(({ rule }) => rule?.["comment"])).toEqual([])
  })

  test("ADD again brings back each of the pod's rules once, and a port that another has is taken", () => {
    using node = new Node()
    const { portmap, one, two } = scene(node)
    const taken = rules(node, "hostports").length > 0
    if (taken) expect(portmap.add(node.pod(), OTHERS, ["10.1.0.4/24"]).error).toMatchObject({ code: 102 })
    portmap.map(one, PORTS, ONE)
    portmap.map(two, OTHERS, TWO)
    expect(portmap.check(one, PORTS, ONE)).toMatchObject(QUIET)
    expect(portmap.check(two, OTHERS, TWO)).toMatchObject(QUIET)
    expect(portmap.del(one)).toMatchObject(QUIET)
    expect(portmap.add(node.pod(), OTHERS, ["10.1.0.4/24"]).error).toMatchObject({ code: 102 })
  })
})
