import { host, type Layout } from "../sys/host.ts"

const LARGE = 2 << 20

/**
 * A growing buffer that numbers are written to. Host order is little-endian on every machine these plugins run on. Numbers are written
 * as elements of an array, which costs less than a call of DataView.
 */
export class Writer {
  #bytes = new Uint8Array(512)
  /** The same memory, for numbers at multiples of four. */
  #words = new Int32Array(this.#bytes.buffer)
  #size = 512
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Returns a view of the written bytes, valid until the next write. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, 0, this.#length)
  }

  /** Begins anew; views of what was written before are no longer valid. */
  clear(): void {
    this.#length = 0
  }

  u8(value: number): this {
    const at = this.#length
    if (at + 1 > this.#size) this.#grow(at + 1)
    this.#bytes[at] = value
    this.#length = at + 1
    return this
  }

  u16(value: number): this {
    const at = this.#length
    if (at + 2 > this.#size) this.#grow(at + 2)
    const bytes = this.#bytes
    bytes[at] = value
    bytes[at + 1] = value >> 8
    this.#length = at + 2
    return this
  }

  u32(value: number): this {
    const at = this.#length
    if ((at & 3) !== 0) return this.u16(value).u16(value >> 16)
    if (at + 4 > this.#size) this.#grow(at + 4)
    this.#words[at >> 2] = value
    this.#length = at + 4
    return this
  }

  /** Appends four 32-bit numbers at a multiple of four: a header, such as each message begins with. */
  u32x4(first: number, second: number, third: number, fourth: number): this {
    const at = this.#length
    if (at + 16 > this.#size) this.#grow(at + 16)
    const words = this.#words
    const word = at >> 2
    words[word] = first
    words[word + 1] = second
    words[word + 2] = third
    words[word + 3] = fourth
    this.#length = at + 16
    return this
  }

  be16(value: number): this {
    return this.u16(((value >> 8) & 0xff) | (value << 8))
  }

  be32(value: number): this {
    return this.u32((value >>> 24) | ((value >> 8) & 0xff00) | ((value & 0xff00) << 8) | (value << 24))
  }

  u64(value: bigint): this {
    return this.u32(Number(value & WORD)).u32(Number((value >> 32n) & WORD))
  }

  be64(value: bigint): this {
    return this.be32(Number((value >> 32n) & WORD)).be32(Number(value & WORD))
  }

  raw(bytes: Uint8Array): this {
    const at = this.#length
    const end = at + bytes.length
    if (end > this.#size) this.#grow(end)
    this.#bytes.set(bytes, at)
    this.#length = end
    return this
  }

  /** Appends attributes, if the host does; returns false if it does not. */
  attributes(layout: Layout, values: object): boolean {
    const end = host.writeAttributes(this.#bytes, this.#length, layout, values)
    if (end < 0) return false
    this.#length = end
    return true
  }

  /** Appends zeros up to the next multiple of four, netlink's alignment. */
  align(): this {
    while ((this.#length & 3) !== 0) this.u8(0)
    return this
  }

  /** Leaves room for the header of a message or an attribute, at a multiple of four; returns where that is. */
  begin(size: number): number {
    const at = this.#length
    if (at + size > this.#size) this.#grow(at + size)
    this.#length = at + size
    return at
  }

  /** Ends the attribute that has begun there: writes its header (struct nlattr), and zeros up to the next multiple of four. */
  end(at: number, type: number): void {
    const length = this.#length - at
    if (length > 0xffff) throw new RangeError(`attribute ${type} of ${length} bytes: its length does not fit 16 bits`)
    this.#words[at >> 2] = (type << 16) | length
    if ((length & 3) !== 0) this.align()
  }

  /** Ends the message that has begun there: writes its header (struct nlmsghdr). The kernel sets the port. */
  endMessage(at: number, typeAndFlags: number, sequence: number): void {
    const words = this.#words
    const word = at >> 2
    words[word] = this.#length - at
    words[word + 1] = typeAndFlags
    words[word + 2] = sequence
    words[word + 3] = 0
  }

  /** Grows the buffer to twice the size, a large one by less, but at least to `least`: a process may use 64 MB. */
  #grow(least: number): void {
    this.#size = (Math.max(least, this.#size + Math.min(this.#size, LARGE)) + 3) & ~3
    this.#bytes = resized(this.#bytes, this.#size)
    this.#words = new Int32Array(this.#bytes.buffer)
  }
}

const WORD = 0xffffffffn

/** Returns the bytes with zeros after them. QuickJS-ng moves large ones without a second copy; Node.js before 21 has to copy. */
function resized(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if ("transfer" in bytes.buffer) return new Uint8Array(bytes.buffer.transfer(size))
  const copy = new Uint8Array(size)
  copy.set(bytes)
  return copy
}
