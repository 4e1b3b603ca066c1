/** ru_maxrss of getrusage(2), number 98 on amd64. */
const GETRUSAGE = process.arch === "arm64" ? 165 : 98
const PEAK = `
  open my $file, ">", shift or die $!;
  my $status = system { $ARGV[0] } @ARGV;
  my $usage = "\\0" x 144;
  syscall(${GETRUSAGE}, -1, $usage) == 0 or die $!;
  print $file unpack "x32 q", $usage;
  exit($status & 127 ? 99 : $status >> 8);`

/** The command that runs `argv` and writes the most memory that it had, in KiB, to a file. */
export function measuringPeak(file: string, argv: readonly string[]): string[] {
  return ["perl", "-e", PEAK, file, ...argv]
}
