import type { Namespace } from "../lab/namespace.ts"
import { runAsync } from "../lab/run.ts"

const INDEX = `sub index_of { my $r = pack("a16x16", $_[0]); ioctl($_[1], 0x8933, $r) ? unpack("x16i", $r) : 0 }`

/** Sends as long as it is told, also while there is no such interface yet, or none that is up. */
const SPOOF = `use Time::HiRes "time"; ${INDEX}
my ($if, $mac, $seconds) = @ARGV;
my $until = time + $seconds;
socket(my $s, 17, 3, 0) or exit 1;
my $frame = pack("a6 H12 n a46", "\\xff" x 6, $mac =~ s/://gr, 0x88b5, "hostile");
while (time <= $until) {
  my $i = index_of($if, $s);
  send($s, $frame, 0, pack("S n i S C C a8", 17, 0x88b5, $i, 1, 0, 6, "\\xff" x 6)) if $i;
  select(undef, undef, undef, 0.001);
}`

/** The prefix that the hostile router announces. */
export const PREFIX = "2001:db8:666:"

/** A router of all the world, with a prefix for everybody. */
const ADVERTISE = `use Socket qw(:all); ${INDEX}
socket(my $s, AF_INET6, SOCK_RAW, 58) or exit 1;
my $i = index_of($ARGV[0], $s) or exit 1;
setsockopt($s, 41, 18, pack("i", 255)); setsockopt($s, 41, 17, pack("i", $i));
my $prefix = pack("CCCC NNN a16", 3, 4, 64, 0xc0, 86400, 14400, 0, inet_pton(AF_INET6, "${PREFIX}:"));
my $message = pack("CCn CCn NN", 134, 0, 0, 64, 0, 1800, 0, 0) . $prefix;
send($s, $message, 0, pack_sockaddr_in6(0, inet_pton(AF_INET6, "ff02::1"), $i)) or exit 1`

/** Sends frames that claim to come from `mac`. */
export async function spoof(from: Namespace, ifname: string, mac: string, seconds: number): Promise<void> {
  await runAsync(from.inside(["perl", "-e", SPOOF, ifname, mac, `${seconds}`]))
}

/** Sends a router advertisement, whose sender needs a link-local address; returns if it could be sent. */
export async function advertise(from: Namespace, ifname: string): Promise<boolean> {
  const script = 'ip addr add fe80::666/64 dev "$0" nodad 2>/dev/null; exec perl -e "$1" "$0"'
  const { exitCode } = await runAsync(from.inside(["sh", "-c", script, ifname, ADVERTISE]))
  return exitCode === 0
}
