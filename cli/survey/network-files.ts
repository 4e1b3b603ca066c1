import { listDirectory, readText, unlessMissing } from "../../lib/sys/file.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { BadList, type NetworkList, problemOf, readNetworkList } from "./network-list.ts"

/** A file of the configuration directory that runtimes read. */
export interface NetworkFile {
  readonly path: string
  /** Undefined if it cannot be read, is none, or lacks what every list has. */
  readonly list: NetworkList | undefined
  /** Says why there is no list. */
  readonly problem: string | undefined
}

/** Reads the directory's networks in the order of their names, in which runtimes take the first that is whole. None if it is missing. */
export function readNetworkFiles(directory: string): NetworkFile[] {
  const names = (unlessMissing(() => listDirectory(directory)) ?? []).sort()
  return names.filter((name) => /\.(conflist|conf|json)$/.test(name)).map((name) => readFile(`${directory}/${name}`))
}

function readFile(path: string): NetworkFile {
  try {
    const list = readNetworkList(readText(path, 1 << 20))
    const problem = problemOf(list)
    return { path, list: problem === undefined ? list : undefined, problem }
  } catch (error) {
    if (!(error instanceof BadList || error instanceof SystemError)) throw error
    return { path, list: undefined, problem: error.message }
  }
}
