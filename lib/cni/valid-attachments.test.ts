import { describe, expect, it } from "vitest"
import { Fields } from "./fields.ts"
import { type JsonObject, parseJson } from "./json.ts"
import { readValidAttachments } from "./valid-attachments.ts"

const attachments = (text: string) => readValidAttachments(new Fields(parseJson(text) as JsonObject), "net")

const KEYS = ["cni.dev/valid-attachments", "cni.dev/attachments"]

describe("readValidAttachments", () => {
  const c1 = { network: "net", containerId: "c1", ifname: "eth0" }
  const c2 = { network: "net", containerId: "c2", ifname: "net1" }
  const first = '[{"containerID":"c1","ifname":"eth0"}]'
  const both = '[{"containerID":"c1","ifname":"eth0"},{"containerID":"c2","ifname":"net1"}]'

  it("reads the list that libcni sends twice", () => {
    expect(attachments(`{"cni.dev/attachments":${both},"cni.dev/valid-attachments":${both}}`)).toEqual([c1, c2])
  })

  it.each(KEYS)("reads a list under %s alone, empty or not", (key) => {
    expect(attachments(`{"${key}":${first}}`)).toEqual([c1])
    expect(attachments(`{"${key}":[]}`)).toEqual([])
  })

  it.each([
    [first, both],
    [both, first],
    ["[]", both],
    [both, "[]"],
  ])("takes for valid what is in either of %s and %s", (one, other) => {
    const named = attachments(`{"cni.dev/attachments":${one},"cni.dev/valid-attachments":${other}}`)
    expect(new Set(named)).toEqual(new Set([c1, c2]))
  })

  it.each(["{}", '{"cni.dev/valid-attachments":null}', '{"cni.dev/attachments":null}'])(
    "reads %s as: nobody knows which are valid",
    (text) => expect(attachments(text)).toBeUndefined(),
  )

  it("reads null beside a list as the list", () => {
    expect(attachments(`{"cni.dev/attachments":null,"cni.dev/valid-attachments":${first}}`)).toEqual([c1])
  })

  it.each([
    ['[{"containerID":"c1"}]', 7, "invalid network config: KEY[0].ifname: missing"],
    ['[{"ifname":"eth0"}]', 7, "invalid network config: KEY[0].containerID: missing"],
    ['[{"containerID":"","ifname":"eth0"}]', 7, "invalid network config: KEY[0].containerID: missing"],
    ["[null]", 6, "cannot decode KEY[0]: expected an object, got null"],
    ['{"containerID":"c1"}', 6, "cannot decode KEY: expected a list, got an object"],
    ['"c1"', 6, 'cannot decode KEY: expected a list, got the string "c1"'],
    ['[{"containerID":1,"ifname":"eth0"}]', 6, "cannot decode KEY[0].containerID: expected a string, got the number 1"],
  ])("refuses %s under either key rather than take live attachments away", (list, code, message) => {
    for (const key of KEYS) {
      expect(() => attachments(`{"${key}":${list}}`)).toThrow(
        expect.objectContaining({ code, message: message.replace("KEY", key) }),
      )
    }
  })
})
