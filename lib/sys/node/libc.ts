import { constants } from "node:os"
import { errno as lastErrno, load } from "koffi"

const { EINTR, EINVAL } = constants.errno

/** The process itself, and so its C library, whatever its file is called on this system. */
const library = load(null)

const encoder = new TextEncoder()

/** The C library's functions, under their own names. Bytes are passed as they are: the function reads and writes them in place. */
export const libc = {
  close: library.func("int close(int fd)"),
  connect: library.func("int connect(int fd, const void *address, uint32_t size)"),
  fdatasync: library.func("int fdatasync(int fd)"),
  flock: library.func("int flock(int fd, int operation)"),
  ftruncate: library.func("int ftruncate(int fd, int64_t length)"),
  getsockopt: library.func("int getsockopt(int fd, int level, int option, void *value, void *length)"),
  ioctl: library.func("ioctl", "int", ["int", "uint64_t", "void *"]),
  ioctlNumber: library.func("ioctl", "int", ["int", "uint64_t", "uint64_t"]),
  link: library.func("int link(const void *path, const void *new_name)"),
  lseek: library.func("int64_t lseek(int fd, int64_t offset, int whence)"),
  mkdir: library.func("int mkdir(const void *path, uint32_t mode)"),
  mount: library.func(
    "int mount(const void *source, const void *target, const void *type, uint64_t flags, const void *options)",
  ),
  open: library.func("int open(const void *path, int flags, uint32_t mode)"),
  poll: library.func("int poll(void *entries, uint64_t count, int timeout)"),
  pread: library.func("int64_t pread(int fd, void *buffer, uint64_t length, int64_t offset)"),
  read: library.func("int64_t read(int fd, void *buffer, uint64_t length)"),
  recvfrom: library.func("int64_t recvfrom(int fd, void *buffer, uint64_t length, int flags, void *from, void *size)"),
  rename: library.func("int rename(const void *path, const void *new_name)"),
  send: library.func("int64_t send(int fd, const void *bytes, uint64_t length, int flags)"),
  sendto: library.func(
    "int64_t sendto(int fd, const void *bytes, uint64_t length, int flags, const void *to, uint32_t size)",
  ),
  setns: library.func("int setns(int fd, int type)"),
  setsockopt: library.func("int setsockopt(int fd, int level, int option, const void *value, uint32_t length)"),
  socket: library.func("int socket(int family, int type, int protocol)"),
  statfs: library.func("int statfs(const void *path, void *words)"),
  statx: library.func("int statx(int directory, const void *path, int flags, uint32_t mask, void *buffer)"),
  rmdir: library.func("int rmdir(const void *path)"),
  chmod: library.func("int chmod(const void *path, uint32_t mode)"),
  unshare: library.func("int unshare(int kinds)"),
  unlink: library.func("int unlink(const void *path)"),
  utimensat: library.func("int utimensat(int directory, const void *path, const void *times, int flags)"),
  write: library.func("int64_t write(int fd, const void *bytes, uint64_t length)"),
}

/** Returns the answer of a system call, or the negative errno. Repeats one that a signal interrupted. */
export function answerOf(call: () => number): number {
  for (;;) {
    const answer = answerOnce(call)
    if (answer !== -EINTR) return answer
  }
}

/** Returns the answer of a system call, or the negative errno, also if a signal interrupted it. */
export function answerOnce(call: () => number): number {
  const answer = call()
  return answer === -1 ? -lastErrno() : answer
}

/** Returns the answer of a system call on a path, or the negative errno. */
export function answerOn(path: string, call: (name: Uint8Array) => number): number {
  const name = cString(path)
  return name ? answerOf(() => call(name)) : -EINVAL
}

/** Returns the text with a NUL at the end, for C; undefined if it contains one, which would cut it. */
export function cString(text: string): Uint8Array | undefined {
  return text.includes("\0") ? undefined : encoder.encode(`${text}\0`)
}
