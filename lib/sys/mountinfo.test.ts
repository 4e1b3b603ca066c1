import { expect, test } from "vitest"
import { mountedNamespaces, mountPoints } from "./mountinfo.ts"

test("mountinfo names the network namespaces that are mounted, wherever they are", () => {
  const mountinfo = [
    "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw",
    "43 42 0:4 net:[4026532177] /run/netns/cni-1 rw shared:2 - nsfs nsfs rw",
    "44 42 0:4 net:[4026532246] /run/docker/netns/a\\040space\\134 rw - nsfs nsfs rw",
    "45 42 0:4 mnt:[4026532247] /run/snapd/ns/x.mnt rw - nsfs nsfs rw",
    "46 42 0:4 /net:[1] /odd rw - ext4 /dev/sda rw",
    "",
  ]
  expect(mountedNamespaces(mountinfo.join("\n"))).toEqual([
    { inode: "4026532177", path: "/run/netns/cni-1" },
    { inode: "4026532246", path: "/run/docker/netns/a space\\" },
  ])
  expect(mountedNamespaces("")).toEqual([])
  expect(mountPoints(mountinfo.join("\n"))).toEqual([
    ...["/", "/run/netns/cni-1", "/run/docker/netns/a space\\", "/run/snapd/ns/x.mnt", "/odd"],
  ])
})
