import { type Descriptor, openOrCreate } from "./file.ts"
import { call, libc } from "./libc.ts"

const LOCK_EX = 2

/** Takes flock(2)'s exclusive lock on the file, creating it if need be, and keeps it until closed. Waits for its holder. */
export function lockFile(path: string, mode: number): Descriptor {
  const file = openOrCreate(path, mode)
  try {
    call(`lock ${path}`, () => libc.flock(file.fd, LOCK_EX))
  } catch (error) {
    file[Symbol.dispose]()
    throw error
  }
  return file
}
