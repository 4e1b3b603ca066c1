import { CniError } from "../../lib/cni/errors.ts"
import { Fields } from "../../lib/cni/fields.ts"
import { isObject, parseJson } from "../../lib/cni/json.ts"
import { linkCommands } from "./link-words.ts"
import { nftCommand } from "./nft-words.ts"
import { addressCommand, neighbourCommand, policyCommand, routeCommand } from "./route-words.ts"
import { filterCommand, qdiscCommand } from "./tc-words.ts"
import { given, type Naming, sysctlWords, Untold, type Words, within } from "./told.ts"

/** One thing that a plugin has done: commands that do the same, in the node's namespace or in the pod's. */
export interface Step {
  readonly inPod: boolean
  readonly commands: readonly Words[]
  /** Says why there are no commands. */
  readonly untold?: string
}

/** The facts that are known of a network namespace. */
export interface Place {
  /** The names of links by their indexes, as they are at this point of the story. */
  readonly links: Map<number, string>
  /** The same at the end of the plugin's story, for a link that is not named in it before. */
  late: ReadonlyMap<number, string>
  /** The destinations of routes. */
  readonly routes: Set<string>
}

export interface Teller {
  readonly ticks: number
  readonly host: Place
  readonly pod: Place
  /** The name by which `ip` knows the pod's namespace. */
  readonly podName: string
  readonly handle: Naming["handle"]
}

/** Reads the log of a plugin (CNI_TS_NETLINK), and tells in its order what the kernel has done. What is new in a place is noted. */
export function tellStory(log: string, teller: Teller): Step[] {
  const reader = new Reader(teller)
  for (const line of log.split("\n")) {
    const entry = line === "" ? undefined : parseJson(line)
    const message = entry !== undefined && isObject(entry) ? new Fields(entry).fields("netlink") : undefined
    if (message) reader.read(message)
  }
  return reader.steps
}

class Reader {
  readonly steps: Step[] = []
  readonly #teller: Teller
  /** The requests that are not answered yet, one transaction of nf_tables or one datagram, by family and namespace. */
  readonly #asked = new Map<string, Fields[]>()

  constructor(teller: Teller) {
    this.#teller = teller
  }

  read(message: Fields): void {
    const type = message.string("type") ?? ""
    const inPod = message.has("netns")
    const socket = `${message.string("family")} ${inPod}`
    if (message.string("family") === "sysctl") this.#tell([message], inPod)
    else if (message.string("direction") === "sent") this.#note(socket, message)
    else if (type === "RTM_NEWLINK") this.#name(message, inPod)
    else if (type === "NLMSG_ERROR") this.#answer(socket, message, inPod)
  }

  #note(socket: string, message: Fields): void {
    const before = this.#asked.get(socket) ?? []
    const isFirst = message.string("type") === "NFNL_MSG_BATCH_BEGIN" || !goesOn(before)
    this.#asked.set(socket, isFirst ? [message] : [...before, message])
  }

  #name(message: Fields, inPod: boolean): void {
    const [index, name] = [
      message.fields("header")?.integer("index"),
      message.fields("attributes")?.string("IFLA_IFNAME"),
    ]
    if (index === undefined || name === undefined) return
    const { links } = this.#place(inPod)
    if (!links.has(index)) this.#tellTap(message, name, inPod)
    links.set(index, name)
  }

  /** No message makes a tap: the plugin looks at it at once. */
  #tellTap(message: Fields, name: string, inPod: boolean): void {
    const info = message.fields("attributes")?.fields("IFLA_LINKINFO")
    if (info?.string("IFLA_INFO_KIND") === "tun") this.steps.push({ inPod, commands: [tapCommand(name, info)] })
  }

  #place(inPod: boolean): Place {
    return inPod ? this.#teller.pod : this.#teller.host
  }

  #answer(socket: string, answer: Fields, inPod: boolean): void {
    const asked = this.#asked.get(socket) ?? []
    const answered = asked.find((message) => message.integer("seq") === answer.integer("seq"))
    if (!answered) return
    const isWhole = isTransaction(asked)
    const done = answer.get("error") === 0 ? asked : isWhole ? [] : asked.filter((message) => message !== answered)
    const isOver = isWhole || answered === asked.at(-1)
    this.#asked.set(socket, isOver ? [] : done)
    if (isOver) this.#tell(done, inPod)
  }

  #tell(messages: readonly Fields[], inPod: boolean): void {
    const { ticks, podName, handle } = this.#teller
    const { links, late, routes } = this.#place(inPod)
    const naming: Naming = {
      ...{ ticks, handle, other: inPod ? "1" : podName },
      link: (index) => links.get(index) ?? late.get(index) ?? `if${index}`,
      isFirstRoute: (destination) => {
        const isFirst = !routes.has(destination)
        routes.add(destination)
        return isFirst
      },
    }
    for (const message of messages) {
      const step = stepOf(message, naming)
      const renamed = message.fields("attributes")?.string("IFLA_IFNAME")
      const index = message.fields("header")?.integer("index") ?? 0
      if (renamed !== undefined && index > 0) links.set(index, renamed)
      if (step.commands.length > 0 || step.untold !== undefined) this.steps.push({ inPod, ...step })
    }
  }
}

/** Says if the requests are a transaction of nf_tables: all are done, or none. */
function isTransaction([first]: readonly Fields[]): boolean {
  return first?.string("type") === "NFNL_MSG_BATCH_BEGIN"
}

/** Says if the next request is of the same transaction, or of the same datagram, of which the last one is to be acknowledged. */
function goesOn(requests: readonly Fields[]): boolean {
  const last = requests.at(-1)
  const type = last?.string("type") ?? ""
  if (isTransaction(requests)) return type !== "NFNL_MSG_BATCH_END"
  return last !== undefined && !type.includes("_GET") && !last.strings("flags").includes("ACK")
}

function stepOf(message: Fields, naming: Naming): Omit<Step, "inPod"> {
  try {
    return { commands: commandsOf(message, naming) }
  } catch (error) {
    if (!(error instanceof Untold || error instanceof CniError)) throw error
    return { commands: [], untold: `${message.string("type")}: ${error.message}` }
  }
}

/** Returns the commands that do what the message asks for; none if it only asks. */
function commandsOf(message: Fields, naming: Naming): Words[] {
  const type = message.string("type") ?? ""
  if (message.string("family") === "sysctl") return [sysctlCommand(message)]
  if (type.includes("_GET") || type.includes("BATCH") || type === "NLMSG_NOOP") return []
  if (type.startsWith("NFT_")) return [nftCommand(message, naming)]
  if (type.endsWith("LINK")) return linkCommands(message, naming)
  const say = { ADDR: addressCommand, ROUTE: routeCommand, RULE: policyCommand, NEIGH: neighbourCommand }
  const others = { QDISC: qdiscCommand, TFILTER: filterCommand }
  const command = Object.entries({ ...say, ...others }).find(
    ([name]) => type === `RTM_NEW${name}` || type === `RTM_DEL${name}`,
  )
  if (!command) throw new Untold("no command says this")
  return [command[1](message, naming)]
}

function sysctlCommand(message: Fields): Words {
  return sysctlWords(message.string("name") ?? "", message.string("value") ?? "")
}

/** Returns the command that makes a tap of these settings. */
function tapCommand(name: string, info: Fields): Words {
  const data = within(info, "IFLA_INFO_DATA")
  return [
    ...["ip", "tuntap", "add", "dev", name, "mode", "tap"],
    ...given("user", data.integer("IFLA_TUN_OWNER")),
    ...given("group", data.integer("IFLA_TUN_GROUP")),
    ...(data.integer("IFLA_TUN_MULTI_QUEUE") === 1 ? ["multi_queue"] : []),
  ]
}
