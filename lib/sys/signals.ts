/** Linux's signals by number, from 1 (signal(7)); the same on x86-64 and arm64. */
const names = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ " +
  "VTALRM PROF WINCH IO PWR SYS"
).split(" ")

/** Returns `SIGKILL`, or `signal 40` if it has no name. */
export function signalName(number: number): string {
  const name = names[number - 1]
  return name === undefined ? `signal ${number}` : `SIG${name}`
}
