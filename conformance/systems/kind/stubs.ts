import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Finished, run } from "../../lab/run.ts"
import { ROOT } from "../install/directories.ts"

/** A node of the cluster: its files, and the network namespace that its commands run in. */
export interface StubNode {
  readonly name: string
  readonly netns: string
}

/** The PATH's own `kind`, `kubectl` and provider, which write down what they are asked; what a node executes it executes really. */
export class Stubs {
  readonly directory: string
  readonly #bin: string
  #providerAsked = ""

  constructor(directory: string, nodes: readonly StubNode[], provider = "docker") {
    this.directory = directory
    this.#bin = join(directory, "bin")
    mkdirSync(this.#bin, { recursive: true })
    writeFileSync(join(directory, "nodes"), nodes.map(({ name }) => `${name}\n`).join(""))
    for (const { name, netns } of nodes) {
      for (const inside of ["opt/cni/bin", "etc/systemd/system", "bin"])
        mkdirSync(join(directory, name, inside), { recursive: true })
      symlinkSync(netns, join(directory, name, "netns"))
      this.#program(join(name, "bin/systemctl"), `echo "systemctl $*" >>${directory}/log`)
    }
    this.#program(`bin/${provider}`, PROVIDER)
    this.#program("bin/kind", KIND)
    this.#program("bin/kubectl", KUBECTL)
  }

  /** Has kubectl give these answers about the nodes, one after the other; the last one stays. */
  network(...answers: string[]): void {
    answers.forEach((answer, index) => {
      writeFileSync(join(this.directory, `network.${index}`), answer)
    })
    writeFileSync(join(this.directory, "answers"), `${answers.length - 1}`)
  }

  script(name: string, ...args: string[]): Finished {
    const env = { PATH: `${this.#bin}:/usr/sbin:/usr/bin:/sbin:/bin`, KIND_EXPERIMENTAL_PROVIDER: this.#providerAsked }
    return run([join(ROOT, "scripts/kind", name), ...args], { env })
  }

  /** Sets KIND_EXPERIMENTAL_PROVIDER from now on. */
  ask(provider: string): void {
    this.#providerAsked = provider
  }

  /** The path of a node's file on this machine. */
  file(node: string, path: string): string {
    return join(this.directory, node, path)
  }

  /** All that was asked of the stubs so far. */
  log(): string[] {
    const file = join(this.directory, "log")
    return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : []
  }

  #program(path: string, text: string): void {
    writeFileSync(join(this.directory, path), `#!/bin/sh\nhere='${this.directory}'\n${text}\n`, { mode: 0o755 })
  }
}

/** exec -i NODE COMMAND...: with the node's /opt and /etc, in its network. */
const PROVIDER = `
echo "$(basename "$0") $1 $2 $3" >>$here/log
[ "$1 $2" = "exec -i" ] || exit 64
node=$here/$3
shift 3
PATH=$node/bin:/usr/sbin:/usr/bin:/sbin:/bin exec nsenter --net=$(readlink $node/netns) -- unshare -m \\
  sh -c 'mount --bind "$0/opt" /opt && mount --bind "$0/etc" /etc && exec "$@"' "$node" "$@"`

const KIND = `
echo "kind $*" >>$here/log
case "$1 $2" in
  "get clusters") [ ! -e $here/created ] || cat $here/created ;;
  "get nodes") cat $here/nodes ;;
  "create cluster") cat >$here/config; echo "$4" >$here/created ;;
  *) exit 64 ;;
esac`

const KUBECTL = `
echo "kubectl $1 $2 $3 $4" >>$here/log
case "$3" in
  get)
    read -r last <$here/answers
    answer=$(ls $here | grep -c '^asked')
    : >$here/asked.$answer
    [ $answer -le $last ] || answer=$last
    cat $here/network.$answer ;;
  wait) ;;
  *) exit 64 ;;
esac`
