/** A mounted file system. */
interface Mount {
  readonly path: string
  readonly type: string
}

/** Reads the text of a mountinfo file (proc_pid_mountinfo(5)): field 5 is the path, and the type follows a dash. */
export function mountsIn(mountinfo: string): Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ", 2)
    const path = before.split(" ")[4]
    return path
      ? [
          {
            path: path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
            type: after.split(" ")[0] ?? "",
          },
        ]
      : []
  })
}

/** Types whose answers come from another program or machine: without it they may never come. */
const REMOTE = /^(fuse(\..*)?|nfs4?|cifs|smb3|9p|ceph|afs|autofs|glusterfs|lustre|ocfs2|virtiofs)$/

/** Returns a function that tells the type of the file system that a path is on, if to look there may take forever. */
export function remoteTypes(mounts: readonly Mount[]): (path: string) => string | undefined {
  const remote = mounts.filter(({ type }) => REMOTE.test(type)) // few, where pods' namespaces are hundreds
  return (path) => {
    if (!remote.some((mount) => isAbove(mount, path))) return undefined
    const above = mounts.filter((mount) => isAbove(mount, path))
    const longest = Math.max(...above.map((mount) => mount.path.length))
    const type = above.filter((mount) => mount.path.length === longest).at(-1)?.type ?? "" // the last hides the others
    return REMOTE.test(type) ? type : undefined
  }
}

function isAbove(mount: Mount, path: string): boolean {
  return path === mount.path || path.startsWith(mount.path === "/" ? "/" : `${mount.path}/`)
}
