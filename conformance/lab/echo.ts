import { type ChildProcess, spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { View } from "./namespace.ts"
import { output } from "./run.ts"

export type Transport = "tcp" | "udp"

/** Binds, then says so through a named pipe: who has heard that is answered. */
const SERVER = `
use IO::Socket::IP; use Socket qw(getnameinfo NI_NUMERICHOST);
my ($proto, $port, $name, $ready) = @ARGV;
my @listen = $proto eq "tcp" ? (Listen => 16, ReuseAddr => 1) : ();
my $s = IO::Socket::IP->new(LocalHost => "::", LocalPort => $port, Proto => $proto, V6Only => 0, @listen) or die "$@";
open my $pipe, ">", $ready; close $pipe;
sub answer { my $host = shift; $host =~ s/^::ffff://; "$name hears $host" }
if ($proto eq "tcp") { while (my $c = $s->accept) { print $c answer($c->peerhost); close $c } }
else { while (1) { my $from = $s->recv(my $text, 512); next unless defined $from;
  my ($error, $host) = getnameinfo($from, NI_NUMERICHOST); $s->send(answer($host), 0, $from) } }
`

/** A datagram is sent again until it is answered, as clients do: the first may wait for an address to be resolved. */
export const CLIENT_PROGRAM = `
use IO::Socket::IP; use IO::Select;
my ($proto, $host, $port, $from, $seconds) = @ARGV;
alarm $seconds; $SIG{ALRM} = sub { exit 1 };
my @from = $from ? (LocalPort => $from) : ();
my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Proto => $proto, @from) or exit 1;
if ($proto eq "tcp") { local $/; print <$s>; exit }
do { $s->send("hello") } until IO::Select->new($s)->can_read(0.3);
defined $s->recv(my $text, 512) or exit 1;
print $text
`

let made = 0

/** A server in a namespace. It tells everyone its name and the address it hears them from. */
export class Echo implements Disposable {
  readonly #server: ChildProcess

  constructor(namespace: View, transport: Transport, port: number, name = "server") {
    const ready = join(tmpdir(), `cnits-echo-${process.pid}-${++made}`)
    output(["mkfifo", ready])
    const [enter = "", ...argv] = namespace.inside(["perl", "-e", SERVER, transport, `${port}`, name, ready])
    this.#server = spawn(enter, argv, { stdio: "ignore" })
    output(["timeout", "20", "cat", ready])
    rmSync(ready)
  }

  /** Returns when the server has left its namespace. */
  [Symbol.dispose](): void {
    this.#server.kill("SIGKILL")
    const status = `/proc/${this.#server.pid}/status`
    const runs = `grep -qs '^State:.[^Z]' ${status}`
    output(["timeout", "20", "sh", "-c", `while ${runs}; do sleep 0.01; done`])
  }
}

export interface Question {
  readonly transport?: Transport
  /** The client's own port; any unless given. */
  readonly from?: number
  /** Seconds until no answer is one. */
  readonly timeoutSeconds?: number
}

/** Returns a server's answer to somebody in `namespace`, undefined if there is none. */
export function ask(namespace: View, host: string, port: number, question: Question = {}): string | undefined {
  const { transport = "tcp", from = 0, timeoutSeconds = 5 } = question
  const asked = namespace.run("perl", "-e", CLIENT_PROGRAM, transport, host, `${port}`, `${from}`, `${timeoutSeconds}`)
  return asked.exitCode === 0 && asked.stdout !== "" ? asked.stdout : undefined
}
