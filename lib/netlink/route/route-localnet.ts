import type { Conversation } from "../conversation.ts"
import { ipSettingIn } from "./ip-settings.ts"
import { askForLink } from "./link.ts"

/** Returns true if the sysctl `route_localnet` of the link is set. */
export function hasRouteLocalnet(rtnetlink: Conversation, index: number): boolean {
  return (askForLink(rtnetlink, index, ({ payload }) => ipSettingIn(payload, "routeLocalnet")) ?? 0) !== 0
}
