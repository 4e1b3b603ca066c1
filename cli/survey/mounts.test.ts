import { expect, test } from "vitest"
import { mountsIn, remoteTypes } from "./mounts.ts"

const mounts = mountsIn(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /run rw - tmpfs tmpfs rw
24 23 0:4 net:[4026532177] /run/netns/pod rw - nsfs nsfs rw
25 22 0:50 / /mnt/far\\040away rw - nfs4 server:/export rw
26 22 0:51 / /stuck rw master:3 - fuse.sshfs host: rw
27 26 0:4 net:[4026532178] /stuck/netns/pod rw - nsfs nsfs rw
28 22 0:52 / /over rw - fuse x rw
29 22 0:53 / /over rw - tmpfs x rw
`)

test.each([
  ["/run/netns/pod", undefined],
  ["/run/netns/other", undefined],
  ["/var/run/netns/pod", undefined],
  ["/mnt/far away/pod", "nfs4"],
  ["/mnt/far awayer/pod", undefined],
  ["/stuck", "fuse.sshfs"],
  ["/stuck/netns/other", "fuse.sshfs"],
  ["/stuck/netns/pod", undefined],
  ["/over/pod", undefined],
])("%s is on a file system of others: %s", (path, type) => {
  expect(remoteTypes(mounts)(path)).toBe(type)
})
