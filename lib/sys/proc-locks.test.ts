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
  ["254:0", 9989088n, 12345],
  ["0:26", 9989088n, 22],
  ["254:0", 5n, undefined],
  ["254:0", 6n, undefined],
  ["254:0", 7n, undefined],
  ["254:0", 998908n, undefined],
])("the holder of the lock on %s inode %s is %s", (device, inode, holder) => {
  expect(lockHolder(LOCKS, { device, inode })).toBe(holder)
})
