import { mkdirSync } from "node:fs"
import { output } from "../lab/run.ts"
import { LeaseContender } from "./leases.ts"
import { type Rows, record } from "./rows.ts"
import { type Options, repeat, turn } from "./runs.ts"

const SIDES = ["reference", "ours"] as const

/** Makes a file system of each kind in `dir`, and returns where leases can be on it: it must be empty, and goes with this process's mounts. */
const KINDS: Readonly<Record<string, (dir: string) => string>> = {
  tmpfs: (dir) => {
    output(["mount", "-t", "tmpfs", "cni-ts-bench", dir])
    return dir
  },
  ext4: (dir) => onImage(dir, ["mkfs.ext4", "-q"]),
  xfs: (dir) => onImage(dir, ["mkfs.xfs", "-q"]),
  "overlay on ext4": (dir) => {
    const below = onImage(dir, ["mkfs.ext4", "-q"])
    const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => `${below}/${name}`)
    output(["mkdir", lower, upper, work, merged].map(String))
    output([
      "mount",
      "-t",
      "overlay",
      "overlay",
      "-o",
      `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
      `${merged}`,
    ])
    return `${merged}`
  },
}

/** Mounts a file of the disk that this process is on, with a file system in it. */
function onImage(dir: string, makeFileSystem: readonly string[]): string {
  output(["truncate", "-s", "512M", `${dir}/image`])
  output([...makeFileSystem, `${dir}/image`])
  mkdirSync(`${dir}/mounted`)
  output(["mount", "-o", "loop", `${dir}/image`, `${dir}/mounted`])
  return `${dir}/mounted`
}

/** ADD and DEL of `host-local` by what kind of file system has the leases: what is more than on tmpfs is the wait for the disk. */
export function measureDisk(rows: Rows, { dir, runs }: Options): void {
  for (const [kind, make] of Object.entries(KINDS)) {
    const own = `${dir}/${kind.replaceAll(" ", "-")}`
    mkdirSync(own)
    const leases = make(own)
    const both = SIDES.map((side) => [side, new LeaseContender(side, dir, 10, leases)] as const)
    repeat(rows, runs, (target, run) => {
      for (const command of ["ADD", "DEL"])
        for (const [side, contender] of turn(both, run))
          record(target, `host-local ${command}, leases on ${kind}`, side, contender.call(command))
    })
  }
}
