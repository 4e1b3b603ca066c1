import { Unusable } from "../command.ts"
import type { Survey } from "../survey/survey.ts"
import type { Subject } from "./finding.ts"

/** Returns the pod that bears the name, `namespace/name` or the last part alone, has the container id or its beginning, or the namespace. */
export function findSubject({ attached }: Survey, name: string): Subject {
  const named = attached.filter(
    ({ pod, containerId, netns }) =>
      pod === name || pod.endsWith(`/${name}`) || netns === name || (name.length >= 4 && containerId.startsWith(name)),
  )
  const containerIds = new Set(named.map(({ containerId }) => containerId))
  if (containerIds.size === 0)
    throw new Unusable(`no runtime here remembers a pod, container or namespace ${JSON.stringify(name)}`)
  return { containerIds }
}
