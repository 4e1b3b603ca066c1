import { describe, expect, test } from "vitest"
import { readVersion } from "../../survey/go-build.ts"
import { mendedIn, pluginFaults, runtimeFaults } from "./software.ts"

const PORTMAP = "github.com/containernetworking/plugins/plugins/meta/portmap"
const CONTAINERD = "github.com/containerd/containerd/v2/cmd/containerd"
const reports = (faults: Parameters<typeof mendedIn>[0][], path: string, version: string) =>
  faults.flatMap((fault) => {
    const mended = mendedIn(fault, { path, version: readVersion(version) })
    return mended === undefined ? [] : [`${fault.report} ${mended}`]
  })

describe("versions", () => {
  test.each([
    ["0.8.7", []],
    ["0.9.0", ["containernetworking/plugins#705 1.1.0"]],
    ["v1.0.1", ["containernetworking/plugins#705 1.1.0"]],
    ["1.1.0", []],
    ["1.6.0", ["containernetworking/plugins#1115 1.6.1", "CVE-2025-67499 1.9.0"]],
    ["1.8.0", ["CVE-2025-67499 1.9.0"]],
    ["1.9.0", []],
    ["1.10.0", []],
    ["(devel)", []],
  ])("portmap %s: %j", (version, expected) => {
    expect(reports([...pluginFaults], PORTMAP, version)).toEqual(expected)
  })

  test.each([
    ["1.6.8", []],
    ["1.6.14", ["containerd/containerd#7843 1.6.15"]],
    ["1.6.38", ["containerd/containerd#12923 1.7.31"]],
    ["1.7.22", []],
    ["1.7.30", ["containerd/containerd#12923 1.7.31"]],
    ["2.0.7", ["containerd/containerd#12923 2.0.8"]],
    ["2.2.1", ["containerd/containerd#12923 2.2.2"]],
    ["2.3.0", []],
  ])("containerd %s: %j", (version, expected) => {
    expect(reports([...(runtimeFaults["containerd"] ?? [])], CONTAINERD, version)).toEqual(expected)
  })
})

test("a program of others with that name has not their faults", () => {
  expect(reports([...pluginFaults], "github.com/projectcalico/plugins/plugins/meta/portmap", "1.0.1")).toEqual([])
})
