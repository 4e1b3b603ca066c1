import type { Link } from "../../lib/netlink/route/link.ts"

/** Says if the link may lead to other machines by its kind: hardware, or what stands for it. */
export function isUplink({ kind, name, master }: Pick<Link, "kind" | "name" | "master">): boolean {
  return name !== "lo" && master === 0 && ["", "bond", "team", "vlan"].includes(kind)
}
