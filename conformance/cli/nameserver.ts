import { type ChildProcess, spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { join } from "node:path"
import type { View } from "../lab/namespace.ts"
import type { Node } from "../lab/node.ts"
import { output } from "../lab/run.ts"

/** Binds, then says so through a named pipe. Answers each question by a code of four bits, or as the pod's worst enemy would. */
const SERVER = `
use IO::Socket::IP;
my ($address, $code, $ready) = @ARGV;
my $s = IO::Socket::IP->new(LocalHost => $address, LocalPort => 53, Proto => "udp") or die "$@";
open my $pipe, ">", $ready; close $pipe;
while (1) {
  next unless defined $s->recv(my $query, 512);
  if ($code ne "hostile") { $s->send(substr($query, 0, 2) . pack("CC", 0x81, 0x80 | $code) . substr($query, 4)); next }
  $s->send($_) for "", "x", substr($query, 0, 2), $query, "\\xff" x 1400, substr($query, 0, 2) . "\\xff" x 600,
    substr($query, 0, 2) . "\\x81\\x82\\0\\1" . "\\xc0\\x0c" x 200, substr($query, 0, 2) . "\\x81\\x82\\xff\\xff" . substr($query, 6);
}
`

let made = 0

/** A nameserver in a namespace, at an address that it gets for this. */
export class Nameserver implements Disposable {
  readonly #server: ChildProcess

  constructor(node: Node, namespace: View, address: string, code: number | "hostile" = 0) {
    namespace.ip("address", "replace", `${address}/${address.includes(":") ? 128 : 32}`, "dev", "lo")
    const ready = join(node.dir, `nameserver-${++made}`)
    output(["mkfifo", ready])
    const [enter = "", ...argv] = namespace.inside(["perl", "-e", SERVER, address, `${code}`, ready])
    this.#server = spawn(enter, argv, { stdio: "ignore" })
    output(["timeout", "20", "cat", ready])
    rmSync(ready)
  }

  /** Returns when the server has left its namespace. */
  [Symbol.dispose](): void {
    this.#server.kill("SIGKILL")
    output([
      "timeout",
      "20",
      "sh",
      "-c",
      `while grep -qs '^State:.[^Z]' /proc/${this.#server.pid}/status; do sleep 0.01; done`,
    ])
  }
}
