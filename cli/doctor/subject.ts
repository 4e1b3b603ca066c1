import { Unusable } from "../command.ts"
import type { Survey } from "../survey/survey.ts"
import type { Subject } from "./finding.ts"

/** The directory of those namespaces that `ip netns` lists. */
const NAMED = "/run/netns/"

/** Returns the path without the symbolic link that /var/run is. */
function inRun(path: string): string {
  return path.replace(/^\/var\/run\//, "/run/")
}

/**
 * Returns the pod that bears the name, `namespace/name` or the last part alone, has the container id or its beginning, or the network namespace:
 * its path, with /run or /var/run, or the name that `ip netns` lists.
 */
export function findSubject({ attached }: Survey, name: string): Subject {
  const paths = [name, `${NAMED}${name}`].map(inRun)
  const named = attached.filter(
    ({ pod, containerId, netns }) =>
      pod === name ||
      pod.endsWith(`/${name}`) ||
      paths.includes(inRun(netns)) ||
      (name.length >= 4 && containerId.startsWith(name)),
  )
  const containerIds = new Set(named.map(({ containerId }) => containerId))
  if (containerIds.size === 0)
    throw new Unusable(`no runtime here remembers a pod, container or namespace ${JSON.stringify(name)}`)
  return { containerIds }
}
