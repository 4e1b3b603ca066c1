import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { BASH, type Finished, type Input, run, runAsync } from "./run.ts"

/**
 * Around it: when all in there has ended, the control groups it was put in can go. Signals that a terminal sends to all
 * are for the test runner, whose end is the machine's.
 */
const OUTER = `
trap '' INT HUP TERM
unshare --mount --pid --fork --kill-child bash --norc -c "$1" bash "$2"
for _ in {1..50}; do # a group is busy until the last of its processes is forgotten
  left=$(find /sys/fs/cgroup -depth -type d -path "*$0*")
  [ -z "$left" ] && exit
  rmdir $left 2>/dev/null || sleep 0.1
done
echo "control groups left: $left" >&2
`

/**
 * Its first process: prints its own number as the outside knows it, makes the directories private in which daemons keep
 * state, and ends when this process's end of the pipe is closed, be it by a kill. With it ends all that runs in there.
 * A root of its own has an overlay: what is written there is in memory.
 */
const INIT = `
set -e
read -r pid _ </proc/self/stat
root=
if [ -n "$1" ]; then
  root=/mnt/root
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work $root
  mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work overlay $root
  for directory in dev sys; do mount --rbind /$directory $root/$directory; done
  mount -t tmpfs -o mode=1777 tmpfs $root/dev/shm
fi
mount -t proc proc $root/proc
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs -o mode=755 tmpfs $root/var/lib
mkdir $root/run/lock
if [ -n "$root" ]; then
  cd $root
  pivot_root . .
  busybox umount -l .
fi
echo "$pid"
while read -r _; do :; done
`

/**
 * A machine within this one: its processes, mounts, /run and /var/lib are its own, its network is that of the namespace given,
 * everything else is this machine's, unless it is given the root of another system, with busybox. For daemons: disposing it, or
 * the end of this process, leaves nothing of them.
 */
export class Machine {
  /** The control group for those who make some below it; removed in the end. */
  readonly cgroup: string
  readonly #outer: ChildProcess
  readonly #init: number

  private constructor(cgroup: string, outer: ChildProcess, init: number) {
    this.cgroup = cgroup
    this.#outer = outer
    this.#init = init
  }

  static async start(
    node: { readonly name: string; inside(argv: readonly string[]): string[] },
    root = "",
  ): Promise<Machine> {
    const cgroup = `/${node.name}`
    const [program = "", ...args] = node.inside([...BASH, OUTER, cgroup, INIT, root])
    const outer = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] })
    const [line] = await Promise.race([once(outer.stdout, "data"), once(outer, "exit").then(() => ["no machine"])])
    const init = Number(line)
    if (!Number.isInteger(init)) throw new Error(`cannot start a machine: ${line}`)
    return new Machine(cgroup, outer, init)
  }

  /** Returns the path by which the outside finds a file of the machine. */
  path(inside: string): string {
    return join(`/proc/${this.#init}/root`, inside)
  }

  /** The argument vector that runs `argv` in the machine. */
  inside(argv: readonly string[]): string[] {
    return ["nsenter", "-t", String(this.#init), "--mount", "--pid", "--net", "--", ...argv]
  }

  run(argv: readonly string[], input: Input = {}): Finished {
    return run(this.inside(argv), input)
  }

  runAsync(argv: readonly string[], input: Input = {}): Promise<Finished> {
    return runAsync(this.inside(argv), input)
  }

  /** Processes of the machine by number, as its own /proc shows them, without its first and those that ended. */
  processes(): string[] {
    const script = `for stat in /proc/[0-9]*/stat; do
      read -r pid name state _ <"$stat" && [ "$pid" != 1 ] && [ "$pid" != $$ ] && [ "$state" != Z ] && echo "$pid $name"
    done 2>/dev/null; true`
    return this.run([...BASH, script])
      .stdout.split("\n")
      .filter(Boolean)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#outer, "exit")
    this.#outer.stdin?.end()
    await ended
  }
}
