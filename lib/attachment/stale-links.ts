import type { Failures } from "../cni/failures.ts"
import type { NetworkStack } from "../net/stack.ts"
import type { Conversation } from "../netlink/conversation.ts"
import { changeLink, type Link, removeGroup, removeLink } from "../netlink/route/link.ts"
import { randomBytes } from "../sys/digest.ts"

/** Limits how long the kernel's lock of all links is held, for 1 to 3 ms a link. */
const MOST_TOGETHER = 16

/** Removes the links, and passes those that were there to `gone`. A failure does not stop the others. */
export function removeStaleLinks(
  { rtnetlink }: NetworkStack,
  links: readonly Link[],
  failures: Failures,
  gone: (link: Link) => void,
): void {
  for (let at = 0; at < links.length; at += MOST_TOGETHER) {
    const some = links.slice(at, at + MOST_TOGETHER)
    const removed = some.length > 1 ? removeTogether(rtnetlink, some) : new Set()
    for (const link of some) {
      failures.capture(() => {
        if (removed.has(link) || removeLink(rtnetlink, link.index)) gone(link)
      })
    }
  }
}

/**
 * Removes the links as a group, whose number nobody else knows, and returns those that were in it: for a group the kernel waits as long, some
 * 20 ms, as for one link. What fails is left to whoever removes the others one by one, and learns why.
 */
function removeTogether(rtnetlink: Conversation, links: readonly Link[]): ReadonlySet<Link> {
  const [group = 0] = new Uint32Array(randomBytes(4).buffer)
  const members = links.filter(({ index, name }) => succeeds(() => changeLink(rtnetlink, index, name, { group })))
  return new Set(succeeds(() => removeGroup(rtnetlink, group)) ? members : [])
}

function succeeds(step: () => unknown): boolean {
  try {
    return step() !== false
  } catch {
    return false
  }
}
