import { isObject, type Json, JsonError, parseJson } from "../../lib/cni/json.ts"
import { NetworkStack } from "../../lib/net/stack.ts"
import { listWholeRoutes } from "../../lib/netlink/route/whole-route.ts"
import { readText } from "../../lib/sys/file.ts"
import { variable, writeStdout } from "../../lib/sys/process.ts"
import { TICKS } from "../../plugins/bandwidth/token-bucket.ts"
import { type Command, type Options, Unusable } from "../command.ts"
import { formatFrom } from "../format.ts"
import { BadList, type NetworkList, problemOf, readNetworkList } from "../survey/network-list.ts"
import { Survey, usualPlaces } from "../survey/survey.ts"
import { colours } from "../terminal.ts"
import { copyPluginFiles } from "./plugin-files.ts"
import { type Explanation, printJson, printScript } from "./print.ts"
import { namesIn, rehearse, type Wish } from "./rehearsal.ts"
import { keyOfRoute } from "./route-words.ts"
import { pairHandles, readRuleset } from "./ruleset-copy.ts"
import { enterScratch, type Origin } from "./scratch.ts"
import { netnsName } from "./shell.ts"
import { readStack } from "./stack-copy.ts"
import type { Place } from "./story.ts"

/** Exit statuses. */
const [WORKS, FAILS, BLIND] = [0, 1, 2]

export const explainCommand: Command = {
  usage: "explain CONFLIST [--pod-netns PATH] [-o json]",
  purpose: "says what an ADD by a network's list would do here, and what would stop it",
  help: `Runs the plugins of the list in scratch namespaces that look like the node and the pod, with copies of the leases, and
prints a shell script that does the same: ip, bridge, tc, nft, sysctl. The last line says how it would end. The node
stays as it is; no program is started but those plugins. Without --pod-netns the pod is a new one.

  --ifname NAME           the pod's interface: eth0
  --container ID          the container's id
  --cni-args TEXT         CNI_ARGS
  --capability-args JSON  what the runtime adds: '{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}'
CNI_PATH in the environment names the directories of plugins, if not the usual ones.
Exit status: 0 it would work, 1 it would fail, 2 there is no telling.
`,
  minArguments: 1,
  maxArguments: 1,
  options: {
    ...{ "--pod-netns": "value", "--ifname": "value", "--container": "value", "--cni-args": "value" },
    ...{ "--capability-args": "value", "-o": "value" },
  },
  unable: BLIND,
  run: ([file = ""], options) => explain(file, options),
}

function explain(file: string, options: Options): number {
  const format = formatFrom(options)
  const wish = readWish(file, options)
  const explanation = rehearseOn(readOrigin(options.get("--pod-netns")), wish)
  writeStdout(format === "json" ? printJson(explanation) : printScript(explanation, colours()))
  const { failure, unknown } = explanation.rehearsal
  if (failure) return FAILS
  return unknown === undefined ? WORKS : BLIND
}

function readWish(file: string, options: Options): Omit<Wish, "firewalld"> {
  return {
    list: readList(file),
    containerId: options.get("--container") ?? containerAt(options.get("--pod-netns")) ?? "explain",
    ifname: options.get("--ifname") ?? "eth0",
    args: options.get("--cni-args") ?? "",
    capabilities: readCapabilities(options.get("--capability-args") ?? "{}"),
    path: variable("CNI_PATH")?.split(":").filter(Boolean) ?? usualPlaces.plugins,
  }
}

function readList(file: string): NetworkList {
  try {
    const list = readNetworkList(readText(file, 1 << 20))
    const problem = problemOf(list)
    if (problem === undefined) return list
    throw new BadList(problem)
  } catch (error) {
    if (error instanceof BadList) throw new Unusable(`${file} is no network configuration list: ${error.message}`)
    throw error
  }
}

function readCapabilities(text: string): Readonly<Record<string, Json>> {
  try {
    const value = parseJson(text)
    if (isObject(value)) return value
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
  }
  throw new Unusable("--capability-args is no JSON object")
}

/** Returns the id of the container that a runtime remembers to have this network namespace. */
function containerAt(netns: string | undefined): string | undefined {
  if (netns === undefined) return undefined
  using survey = new Survey()
  return survey.attached.find((attached) => attached.netns === netns)?.containerId
}

/** Reads the node, and the pod, while this process is still there. */
function readOrigin(path: string | undefined): Origin {
  using node = NetworkStack.host()
  const origin = { node: readStack(node), pod: undefined }
  if (path === undefined) return origin
  using pod = NetworkStack.pod(path)
  return { ...origin, pod: { path, stack: readStack(pod) } }
}

function rehearseOn(origin: Origin, asked: Omit<Wish, "firewalld">): Explanation {
  const wish = { ...asked, firewalld: origin.node.firewalld }
  const scratch = enterScratch(origin)
  const pairs = pairHandles(origin.node.ruleset, readRuleset(scratch.host.nfnetlink))
  const netns = origin.pod ? netnsName(origin.pod.path) : "POD"
  const rehearsal = rehearse(wish, scratch, copyPluginFiles(wish.list, origin.pod?.path ?? "/run/netns/POD"), {
    ...{ ticks: TICKS, podName: netns, host: placeOf(scratch.host), pod: placeOf(scratch.podStack) },
    handle: (table, copy) => pairs.get(table)?.get(copy),
  })
  return { wish, netns, isNewPod: !origin.pod, rehearsal, lacks: scratch.lacks }
}

function placeOf(stack: NetworkStack): Place {
  const [links, routes] = [namesIn(stack), listWholeRoutes(stack.rtnetlink).map(keyOfRoute)]
  return { links, late: links, routes: new Set(routes) }
}
