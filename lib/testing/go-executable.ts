/** An executable of Go for tests, as far as those look that ask which program it is and of which version. */
export function goExecutable(path: string, lines: readonly string[], machine = 62): Buffer {
  const names = Buffer.from("\0.shstrtab\0.go.buildinfo\0")
  const text = [`path\t${path}`, ...lines, ""].join("\n")
  const info = Buffer.concat([
    Buffer.from("\xff Go buildinf:\x08\x02", "latin1"),
    Buffer.alloc(16),
    ...["go1.26.8", `${"0".repeat(16)}${text}${"0".repeat(16)}`].flatMap((word) => [
      varint(word.length),
      Buffer.from(word),
    ]),
  ])
  const header = Buffer.alloc(64)
  header.write("\x7fELF\x02\x01\x01", "latin1")
  header.writeUInt16LE(machine, 18)
  header.writeBigUInt64LE(BigInt(64 + names.length + info.length), 40)
  for (const [at, value] of [
    [58, 64],
    [60, 3],
    [62, 1],
  ] as const)
    header.writeUInt16LE(value, at)
  const sections = [section(0, 0, 0), section(1, 64, names.length), section(11, 64 + names.length, info.length)]
  return Buffer.concat([header, names, info, ...sections])
}

function section(name: number, offset: number, size: number): Buffer {
  const bytes = Buffer.alloc(64)
  bytes.writeUInt32LE(name, 0)
  bytes.writeBigUInt64LE(BigInt(offset), 24)
  bytes.writeBigUInt64LE(BigInt(size), 32)
  return bytes
}

function varint(value: number): Buffer {
  return value < 0x80 ? Buffer.of(value) : Buffer.of((value & 0x7f) | 0x80, ...varint(value >> 7))
}
