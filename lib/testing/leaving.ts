/** Leaves the network namespace and the mounts for ones of its own, and mounts a file system on the directory that stdin names; prints what it sees then. */

import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { nodeHost as host } from "../sys/node/host.ts"

const [CLONE_NEWNS, CLONE_NEWNET] = [0x20000, 0x40000000]
const [MS_REC, MS_PRIVATE] = [0x4000, 0x40000]

const here = () => readlinkSync("/proc/thread-self/ns/net")
const directory = readFileSync(0, "utf8")

const before = here()
const answers = [
  host.unshare(CLONE_NEWNET),
  host.unshare(CLONE_NEWNS),
  host.mount("none", "/", "", MS_REC | MS_PRIVATE),
  host.mount("tmpfs", directory, "tmpfs", 0),
  host.mount("tmpfs", `${directory}/missing`, "tmpfs", 0),
]
mkdirSync(`${directory}/inside`)
console.log(JSON.stringify({ answers, moved: here() !== before, names: readdirSync(directory) }))
