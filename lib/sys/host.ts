/**
 * All that the product needs of the system, in the system's terms. There are two implementations: `native/`, in C, in the executables, and
 * `node/` under Node.js, for debugging and for tests. Each makes a global `host` before the first module of the product is loaded.
 *
 * A function that can fail returns a negative errno instead of its value. None fails with EINTR: a call that a signal interrupted is
 * repeated. A path with a NUL byte is EINVAL. Descriptors are closed in programs that are started (O_CLOEXEC).
 */
export interface Host {
  // The process

  /** Returns the arguments of the process; the first is the name that it was started under. */
  arguments(): string[]
  /** Returns the value of the environment's variable of that name, undefined if there is none (getenv(3)). */
  variable(name: string): string | undefined
  /** Returns all of the environment's variables by their names, without a prototype. Of one that is given twice the first counts, as for getenv(3). */
  environment(): Record<string, string>
  /** Ends the process at once. */
  exit(status: number): never
  /** Returns the milliseconds since the process began, by a monotonic clock. */
  uptime(): number
  /** Waits. */
  sleep(milliseconds: number): void
  /**
   * Waits for SIGHUP, SIGINT or SIGTERM, and returns its number; ETIMEDOUT after `milliseconds`. From the first time on they end this process
   * no more.
   */
  awaitSignal(milliseconds: number): number
  /**
   * Runs the executable at `path` to its end: with its path as only argument, in a session of its own, with default signals. Returns what
   * it and its children write to stdout and stderr; EFBIG beyond 4 MiB of each. After `milliseconds` all of them are killed.
   */
  spawn(path: string, environment: readonly string[], stdin: Uint8Array, milliseconds: number): Ended | number
  /**
   * Runs the executable at `path` in the place of this process: with its arguments, environment and process group; a kill of this one kills
   * that, too. It reads `input`, then what comes from stdin; what it writes to stdout and stderr goes there as it comes. Returns how it
   * ended, and the first `limit` bytes of both.
   */
  relay(path: string, input: Uint8Array, limit: number): Relayed | number
  /** Ends this process as the relayed one ended: with its exit status, or by its signal. */
  endAlike(): never
  /** Becomes the executable at `path`, with the arguments and the environment of this process (execve(2)). Returns only if that fails. */
  become(path: string): number

  // Text and numbers

  /** Encodes the text in UTF-8; half a surrogate pair becomes U+FFFD. */
  encode(text: string): Uint8Array<ArrayBuffer>
  /** Decodes UTF-8; other bytes become U+FFFD, as in the Encoding Standard. A byte order mark stays. */
  decode(bytes: Uint8Array): string
  /** Returns true if `part` is what stands in `bytes` from byte `at` on. */
  hasBytes(bytes: Uint8Array, at: number, part: Uint8Array): boolean
  /** Returns the FNV-1a hash of the text in UTF-8, of 32 bits. */
  fnv1a(text: string): number
  /**
   * Returns false if a JSON text has, outside its strings, a number with a fraction, with an exponent or of more than fifteen digits, or in them an
   * escape of a code unit (`\\u`).
   */
  isPlainJson(json: string): boolean
  /**
   * Returns the value of the object's own member of that name; if there is none, or null, the last one that is not null of those whose names
   * differ from it in case alone; undefined if there is none.
   */
  member(object: object, name: string): unknown
  /**
   * Prints JSON as Go's encoder does, indented by four spaces and with `<`, `>`, `&`, U+2028 and U+2029 escaped. Undefined members are left out;
   * members come in the order they were set.
   */
  printJson(value: unknown): string
  /** Returns the bytes in lower-case hex, two digits each, with that text between them. */
  hex(bytes: Uint8Array, between: string): string
  /** Returns the IPv4 address, as a number, that the text writes as four decimal numbers without leading zeros; -1 if it writes none (inet_pton(3)). */
  parseIPv4(text: string): number
  /** Writes an IPv4 address as four decimal numbers. */
  formatIPv4(address: number): string
  /** Returns the SHA-512 (FIPS 180-4) of the text in UTF-8, in lower-case hex. */
  sha512(text: string): string
  /** Fills `buffer`, at most 256 bytes, from the kernel's generator. */
  random(buffer: Uint8Array): number

  // Files

  /** The one flag of open(2) that we use whose number depends on the processor. */
  readonly O_NOFOLLOW: number
  /** open(2). Returns a file descriptor. `mode` is for a file that is created. */
  open(path: string, flags: number, mode: number): number
  close(fd: number): number
  /** read(2). Returns the number of bytes read, 0 at the end. */
  read(fd: number, buffer: Uint8Array): number
  /** Waits until read(2) would not wait, or until the time is over: ETIMEDOUT. */
  awaitInput(fd: number, milliseconds: number): number
  /** pread(2): as `read`, from `offset` on. */
  readAt(fd: number, buffer: Uint8Array, offset: number): number
  /**
   * Returns the text of the regular file of that very name, with three system calls. Follows no symbolic link of that name (ELOOP), and
   * does not wait (EAGAIN). EFBIG if it is longer than `limit` bytes.
   */
  readFile(path: string, limit: number): string | number
  /** Returns the last bytes of the file as text, at most 256; fewer if it is shorter. */
  readEnd(path: string, length: number): string | number
  /** Makes a file of mode 0600 with the text. EEXIST if the name is taken; if anything else fails there may be a part of it. */
  createFile(path: string, text: string): number
  /** As `createFile`, and the content is on the disk (fdatasync(2)) when this returns. */
  createOnDisk(path: string, text: string): number
  /** Writes the text over the beginning of the file of that very name. Follows no symbolic link of that name (ELOOP), and opens without waiting. */
  writeOver(path: string, text: string): number
  /** As `writeOver`, and cuts off what is behind the text (ftruncate(2)). */
  replaceContent(path: string, text: string): number
  /** write(2), waiting while the other side is slow. Returns the number of bytes written. */
  write(fd: number, bytes: Uint8Array): number
  /** Writes a file's content to the disk (fdatasync(2)). */
  sync(fd: number): number
  /** Waits for flock(2)'s exclusive lock, or until the time is over: ETIMEDOUT. 0 does not wait. */
  lock(fd: number, milliseconds: number): number
  link(path: string, newName: string): number
  rename(path: string, newName: string): number
  unlink(path: string): number
  mkdir(path: string, mode: number): number
  /** rmdir(2): removes an empty directory. */
  removeDirectory(path: string): number
  /** mount(2) without options, with MS_* as `flags`. */
  mount(source: string, path: string, type: string, flags: number): number
  /** Sets the permissions, whatever umask(2) says. */
  chmod(path: string, mode: number): number
  /** Returns the content of a symbolic link. */
  readLink(path: string): string | number
  /** Lists the names in a directory, in the kernel's order, without `.` and `..`. */
  list(path: string): string[] | number
  /** statx(2). `follow` follows a symbolic link. */
  stat(path: string, follow: boolean): Status | number
  /** statfs(2), of the file system that holds `path`. */
  fileSystem(path: string): FileSystem | number
  /** Sets access and modification time to whole seconds since the epoch. */
  setTimes(path: string, seconds: bigint): number

  // Namespaces and sockets

  /** Opens the network namespace that this process is in. */
  openOwnNetwork(): number
  /** Returns 1 if the file at `path` is the network namespace that this process is in, otherwise 0. */
  isOwnNetwork(path: string): number
  /** Enters the network namespace that the descriptor is open on (setns(2)). */
  enterNetwork(fd: number): number
  /** Moves this process to new namespaces of those kinds, CLONE_NEW* (unshare(2)); programs that it starts are there, too. */
  unshare(kinds: number): number
  /**
   * Opens a raw netlink socket of that protocol (netlink(7)). If `seconds` is not 0, extended acknowledgements and strict checking are on if the
   * kernel knows them, and `receive` waits no longer than that.
   */
  netlink(protocol: number, seconds: number): number
  /** Returns the index of the link of that name in the socket's network namespace (SIOCGIFINDEX); of netlink sockets not every kernel takes the question. */
  linkIndex(fd: number, name: string): number
  /** Opens a socket of that family (AF_*), type (SOCK_*) and protocol (socket(2)). */
  socket(family: number, type: number, protocol: number): number
  /** setsockopt(2). */
  setOption(fd: number, level: number, option: number, value: Uint8Array): number
  /** getsockopt(2). Returns the number of bytes filled in `value`. */
  getOption(fd: number, level: number, option: number, value: Uint8Array): number
  /** Sends one datagram, or what a stream takes of the bytes. Returns the number of bytes sent. */
  send(fd: number, bytes: Uint8Array): number
  /**
   * Waits for the next datagram from the kernel itself on a netlink socket; others are skipped. Returns its length. EMSGSIZE if it is
   * longer than `buffer`; EAGAIN if none comes in the time that the option SO_RCVTIMEO sets.
   */
  receive(fd: number, buffer: Uint8Array): number
  /**
   * Connects to the Unix stream socket at `path`, without waiting: EAGAIN if too many others do. Returns a descriptor that `send` and
   * `read` do not wait at, either: EAGAIN.
   */
  connect(path: string): number
  /** Sends one datagram to an address, a struct sockaddr of the socket's family (sendto(2)). */
  sendDatagram(fd: number, address: Uint8Array, bytes: Uint8Array): number
  /** Sends one datagram to the Unix socket at `path`, without waiting. */
  sendTo(path: string, bytes: Uint8Array): number
  /**
   * Makes an interface by a descriptor of /dev/net/tun, in the network namespace that this was opened in; it stays when the descriptor is
   * closed (TUNSETIFF, with `flags`, and TUNSETPERSIST). -1 leaves out its owner or group (TUNSETOWNER, TUNSETGROUP).
   */
  makeTun(fd: number, name: string, flags: number, owner: number, group: number): number
  /**
   * Returns where, from byte `at` of a netlink datagram on, the next message begins that has one of `texts`, of `width` bytes each, somewhere; the
   * datagram's length if there is none. One of netfilter whose `attribute` does not begin with the byte `mark`, or is not there, counts too, unless `attribute` is
   * 0; and always one that ends a dump, says that it was interrupted, or is no whole message.
   */
  nextMessage(
    datagram: Uint8Array,
    at: number,
    texts: Uint8Array,
    width: number,
    attribute: number,
    mark: number,
  ): number
  /**
   * Writes the values of an object as netlink attributes, in the order of the layout, from byte `at` of `buffer` on, a multiple of four. Undefined is
   * left out. Returns where they end; -1 if it leaves that to the caller, as without room for them or with a value of another type.
   */
  writeAttributes(buffer: Uint8Array, at: number, layout: Layout, values: object): number
  /**
   * Returns the values of the netlink attributes from byte `start` up to `end` that are in the layout. Undefined if it leaves that to the caller, as of
   * attributes that do not fit.
   */
  readAttributes(bytes: Uint8Array, start: number, end: number, layout: Layout): object | undefined
}

/**
 * The netlink attributes of a kind of object: of each two bytes, its number and its ENCODING with ATTRIBUTE's marks, the name of its value, and
 * the layout of the attributes in it.
 */
export type Layout = readonly [rows: Uint8Array, names: readonly string[], inner: readonly (Layout | undefined)[]]

/** The payload of an attribute: a number (BE: big-endian; U64, BE64: bigint), text and a NUL, bytes, a list of bytes one behind the other, ... */
export const ENCODING = {
  U8: 0,
  U16: 1,
  U32: 2,
  U64: 3,
  BE16: 4,
  BE32: 5,
  SIGNED_BE32: 6,
  BE64: 7,
  TEXT: 8,
  BYTES: 9,
  PIECES: 10,
  /** An object of `family`, 4 or 6, and `value`, a bigint. */
  ADDRESS: 11,
  /** An object of attributes. */
  NESTED: 12,
} as const

/** The marks of an attribute that is written with NLA_F_NESTED, and of one that may come several times, whose value is a list. */
export const ATTRIBUTE = { MARKED: 0x40, REPEATED: 0x80 } as const

/** The end of a program. */
export interface Ended {
  /** Undefined if a signal ended it. */
  readonly exitCode: number | undefined
  /** The number of the signal that ended it. */
  readonly signal: number | undefined
  /** True if it was killed, with its children, because it took too long. */
  readonly timedOut: boolean
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
}

/** The end of a program in the place of this one. */
export type Relayed = Omit<Ended, "timedOut">

/** The answer of statx(2) on a file, whose fields `file-status.ts` tells: a list, since an object takes ten times as long to make. */
export type Status = readonly [
  device: number,
  inode: bigint,
  type: number,
  permissions: number,
  size: number,
  modified: bigint,
  nanoseconds: number,
  isMount: boolean,
]

/** The answer of statfs(2) on a file system. */
export interface FileSystem {
  /** Its magic number. */
  readonly type: number
  /** 0 if it counts none. */
  readonly blocks: number
  readonly freeBlocks: number
  /** 0 if it counts none. */
  readonly files: number
  readonly freeFiles: number
  /** ST_* (statvfs(3)). */
  readonly flags: number
}

/** The implementation beneath. */
export const host: Host = (globalThis as typeof globalThis & { host: Host }).host
