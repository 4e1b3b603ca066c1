import { type Errno, explain } from "../sys/errno.ts"

/** The kernel refused. Says what was asked, so that nobody needs a trace. */
export class KernelError extends Error {
  readonly errno: Errno
  readonly asked: string

  /** `asked` completes "cannot ..."; `words` is the kernel's own explanation (extended ack), if it gave one. */
  constructor(errno: Errno, asked: string, words = "") {
    super(`cannot ${asked}: ${explain(errno)}${words && `, kernel says "${words}"`}`)
    this.errno = errno
    this.asked = asked
  }

  /** What an operator can do next. */
  get advice(): string {
    if (this.errno === "EPERM") return "the plugin needs CAP_NET_ADMIN and CAP_SYS_ADMIN on the host"
    if (this.errno === "EOPNOTSUPP") return "the node's kernel lacks this feature or its module is not loaded"
    return ""
  }
}

export function refusedWith(error: unknown, ...errnos: Errno[]): error is KernelError {
  return error instanceof KernelError && errnos.includes(error.errno)
}
