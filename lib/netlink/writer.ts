const LARGE = 2 << 20

/** A growing buffer that numbers are written to. Host order is little-endian on every machine these plugins run on. */
export class Writer {
  #bytes = new Uint8Array(512)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Returns a view of the written bytes, valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  u8(value: number): this {
    const at = this.#claim(1) // may replace the view
    this.#view.setUint8(at, value)
    return this
  }

  u16(value: number): this {
    const at = this.#claim(2) // may replace the view
    this.#view.setUint16(at, value, true)
    return this
  }

  u32(value: number): this {
    const at = this.#claim(4) // may replace the view
    this.#view.setUint32(at, value, true)
    return this
  }

  be16(value: number): this {
    const at = this.#claim(2) // may replace the view
    this.#view.setUint16(at, value)
    return this
  }

  be32(value: number): this {
    const at = this.#claim(4) // may replace the view
    this.#view.setUint32(at, value)
    return this
  }

  u64(value: bigint): this {
    const at = this.#claim(8) // may replace the view
    this.#view.setBigUint64(at, value, true)
    return this
  }

  be64(value: bigint): this {
    const at = this.#claim(8) // may replace the view
    this.#view.setBigUint64(at, value)
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.#claim(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  /** Appends zeros up to the next multiple of four, netlink's alignment. */
  align(): this {
    this.#claim(-this.#length & 3)
    return this
  }

  /** Overwrites a 16-bit number written earlier, such as a length now known. */
  patch16(at: number, value: number): void {
    this.#view.setUint16(at, value, true)
  }

  patch32(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
  }

  #claim(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) this.#grow()
    return at
  }

  /** Grows the buffer to twice the size, a large one by less: a process may use 64 MB. */
  #grow(): void {
    const size = this.#bytes.length
    const larger = Math.max(this.#length, size + Math.min(size, LARGE))
    this.#bytes = resized(this.#bytes, larger)
    this.#view = new DataView(this.#bytes.buffer)
  }
}

/** Returns the bytes with zeros after them. QuickJS-ng moves large ones without a second copy; Node.js before 21 has to copy. */
function resized(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if ("transfer" in bytes.buffer) return new Uint8Array(bytes.buffer.transfer(size))
  const copy = new Uint8Array(size)
  copy.set(bytes)
  return copy
}
