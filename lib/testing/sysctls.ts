/** Prints what a stack of this process and one of a second network namespace say of the same sysctls. */

import "../sys/node/register.ts"
import { NetworkStack } from "../net/stack.ts"
import { SecondNetwork } from "./second-network.ts"

const SETTING = "net/ipv4/ip_default_ttl"

function observe(path: string): object {
  using host = NetworkStack.host()
  using pod = NetworkStack.pod(path)
  host.writeSysctl(SETTING, "11")
  pod.writeSysctl(SETTING, "22")
  const set = [host, pod].map((stack) => stack.readSysctl(SETTING))
  const together = pod.withSysctls((own) => {
    own.trySysctl(SETTING, "33")
    return own.readSysctl(SETTING)
  })
  const missing = [host, pod].map((stack) => {
    stack.trySysctl("net/no/such", "1")
    return stack.readSysctl("net/no/such") ?? "none"
  })
  return { set, together, atLast: host.readSysctl(SETTING), missing }
}

async function main(): Promise<void> {
  await using other = new SecondNetwork()
  console.log(JSON.stringify(observe(other.path)))
  other.unmount()
}

await main()
