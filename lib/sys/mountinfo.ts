/** A mounted network namespace, by its inode, and the path of the mount. */
export interface MountedNamespace {
  readonly inode: string
  readonly path: string
}

/**
 * Returns the network namespaces in the text of a mountinfo file (proc_pid_mountinfo(5)): field 4 is `net:[4026532177]`, field 5 the
 * path, with white space and backslashes in octal.
 */
export function mountedNamespaces(mountinfo: string): MountedNamespace[] {
  const found: MountedNamespace[] = []
  for (const line of mountinfo.split("\n")) {
    const [, , , root = "", path = ""] = line.split(" ")
    if (root.startsWith("net:[") && root.endsWith("]")) found.push({ inode: root.slice(5, -1), path: unescaped(path) })
  }
  return found
}

/** Returns the paths at which something is mounted, of some several times. */
export function mountPoints(mountinfo: string): string[] {
  return mountinfo.split("\n").flatMap((line) => {
    const path = line.split(" ")[4]
    return path === undefined ? [] : [unescaped(path)]
  })
}

function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
