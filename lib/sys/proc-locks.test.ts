import { expect, test } from "vitest"
import { lockHolder } from "./proc-locks.ts"

const LOCKS = `1: POSIX  ADVISORY  WRITE 11 fe:00:5 0 EOF
2: FLOCK  ADVISORY  WRITE 12345 fe:00:9989088 0 EOF
2: -> FLOCK  ADVISORY  WRITE 777 fe:00:9989088 0 EOF
3: FLOCK  ADVISORY  WRITE 22 00:1a:9989088 0 EOF
4: FLOCK  ADVISORY  WRITE 0 fe:00:6 0 EOF
5: FLOCK  ADVISORY  WRITE -1 fe:00:7 0 EOF
`

test.each([
  [0xfe00000, 9989088n, 12345],
  [0x1a, 9989088n, 22],
  [0xfe00000, 5n, undefined],
  [0xfe00000, 6n, undefined],
  [0xfe00000, 7n, undefined],
  [0xfe00000, 998908n, undefined],
])("the holder of the lock on device %s, inode %s is %s", (device, inode, holder) => {
  expect(lockHolder(LOCKS, { device, inode })).toBe(holder)
})
