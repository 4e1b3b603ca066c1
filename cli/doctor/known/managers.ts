import { attachmentInAlias } from "../../../lib/attachment/alias.ts"
import type { Link } from "../../../lib/netlink/route/link.ts"
import { readRegular, unlessMissing } from "../../../lib/sys/file.ts"
import { fileStatus } from "../../../lib/sys/file-status.ts"
import type { Survey } from "../../survey/survey.ts"

/** A program that configures a node's interfaces, and may take pods' for its own. */
interface Manager {
  readonly name: string
  /** A file for each interface, by its index, that tells what the manager makes of it. */
  readonly directory: string
  /** Returns why the manager configures the link, by what the file says; undefined if it leaves it alone. */
  readonly manages: (text: string, link: Link) => string | undefined
  readonly mend: string
  readonly report: string
}

export const managers: readonly Manager[] = [
  {
    name: "systemd-networkd",
    directory: "/run/systemd/netif/links",
    manages: (text) => {
      const state = /^ADMIN_STATE=(configuring|configured|failed)$/m.exec(text)?.[1]
      return state && `${state} by ${/^NETWORK_FILE=(.*)$/m.exec(text)?.[1] ?? "a .network file"}`
    },
    mend: "a file for it in /etc/systemd/network before that one: [Match] Name=veth* cni*, [Link] Unmanaged=yes",
    report: "projectcalico/calico#2471",
  },
  {
    name: "NetworkManager",
    directory: "/run/NetworkManager/devices",
    // Of bridges that others have made it notes the same if it only watches them.
    manages: (text, { kind }) => (kind === "veth" && /^managed=true$/m.test(text) ? "managed=true" : undefined),
    mend: "unmanaged-devices=driver:veth below [keyfile] in /etc/NetworkManager/conf.d, and restart it",
    report: "coreos/fedora-coreos-tracker#929",
  },
]

/** Returns the node's links that pods depend on, with what the manager does to them. */
export function managedLinks(survey: Survey, { directory, manages }: Manager): { link: Link; words: string }[] {
  if (!survey.attempt(() => unlessMissing(() => fileStatus(directory)))) return []
  return linksOfPods(survey).flatMap((link) => {
    const text = survey.attempt(() => readRegular(`${directory}/${link.index}`, 64 << 10))
    const words = text === undefined ? undefined : manages(text, link)
    return words === undefined ? [] : [{ link, words: `${directory}/${link.index}: ${words}` }]
  })
}

/** Returns the bridges of networks with their ports, and host ends that an alias names. */
function linksOfPods({ networks, attached, links }: Survey): Link[] {
  const lists = [...networks, ...attached].flatMap(({ list }) => list ?? [])
  const plugins = new Set(lists.flatMap((list) => list.plugins)).values()
  const names = new Set([...plugins].filter(({ type }) => type === "bridge").map(bridgeOf))
  const bridges = new Set(
    links.filter(({ name, kind }) => kind === "bridge" && names.has(name)).map((link) => link.index),
  )
  return links.filter(
    ({ index, master, alias }) => bridges.has(index) || bridges.has(master) || attachmentInAlias(alias) !== undefined,
  )
}

function bridgeOf({ fields }: { readonly fields: { string: (key: string) => string | undefined } }): string {
  return fields.string("bridge") || "cni0"
}
