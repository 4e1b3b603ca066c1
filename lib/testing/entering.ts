/** Enters a second network namespace and leaves it again; prints where it was meanwhile, told by the kernel. */

import { spawn } from "node:child_process"
import { readlinkSync } from "node:fs"
import { nodeHost as host } from "../sys/node/host.ts"

const here = () => readlinkSync("/proc/thread-self/ns/net")

const child = spawn("unshare", ["--net", "sh", "-c", "echo; exec sleep 600"], { stdio: ["ignore", "pipe", "inherit"] })
child.stdout.once("data", () => {
  const other = `/proc/${child.pid}/ns/net`
  const places = [here()]
  const answers = [host.open("/proc/self/ns/net", 0, 0), host.open(other, 0, 0)]
  for (const fd of answers.slice(0, 2).reverse()) {
    answers.push(host.enterNetwork(fd))
    places.push(here())
  }
  console.log(JSON.stringify({ answers: answers.slice(2), places, other: readlinkSync(other) }))
  child.kill()
})
