import { expect, test } from "vitest"
import { replaceWords } from "./replace.ts"

test("whole words are replaced, all at once", () => {
  const words = new Map([
    ["10.1.0.2", "10.1.0.3"],
    ["10.1.0.3", "10.1.0.2"],
    ["/run/netns/a", "/proc/fs/pod-1"],
    ["fd00::1", "fd00::2"],
  ])
  expect(replaceWords('"10.1.0.2/24" 10.1.0.3 10.1.0.23 110.1.0.2 10.1.0.2.9', words)).toBe(
    '"10.1.0.3/24" 10.1.0.2 10.1.0.23 110.1.0.2 10.1.0.2.9',
  )
  expect(replaceWords('"/run/netns/a" /run/netns/ab fd00::1/64 fd00::1:1', words)).toBe(
    '"/proc/fs/pod-1" /run/netns/ab fd00::2/64 fd00::1:1',
  )
})

test("no words change nothing", () => {
  expect(replaceWords("a", new Map())).toBe("a")
})
