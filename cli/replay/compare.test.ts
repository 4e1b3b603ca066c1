import { expect, test } from "vitest"
import type { Answer } from "../record/recorded-call.ts"
import { compareAnswers } from "./compare.ts"
import { Names } from "./names.ts"

const answer = (document: unknown, exitCode = 0): Answer => ({
  exitCode,
  stdout: document === undefined ? "" : JSON.stringify(document),
  stderr: "",
})
const compared = (recorded: unknown, replayed: unknown, names = new Names(), container = "a") =>
  compareAnswers(answer(recorded), answer(replayed), names, container).map(({ what }) => what)

const result = (mac: string, veth: string, address: string) => ({
  interfaces: [{ name: veth, mac }],
  ips: [{ address }],
})
const recorded = result("02:00:00:00:00:01", "veth1", "10.1.0.7/24")

test("what chance names may be called otherwise, each always the same", () => {
  const names = new Names()
  expect(compared(recorded, result("02:00:00:00:00:99", "veth9", "10.1.0.2/24"), names)).toEqual([])
  expect(Object.fromEntries(names.replacements)).toEqual({
    "02:00:00:00:00:01": "02:00:00:00:00:99",
    veth1: "veth9",
    "10.1.0.7": "10.1.0.2",
  })
  expect(compared(recorded, result("02:00:00:00:00:99", "veth9", "10.1.0.3/24"), names)).toEqual(["ips[0].address"])
  const other = result("02:00:00:00:00:02", "veth2", "10.1.0.8/24")
  expect(compared(other, result("02:00:00:00:00:98", "veth8", "10.1.0.2/24"), names, "b")).toEqual(["ips[0].address"])
})

test("a container that is gone leaves its names to others", () => {
  const names = new Names()
  compared(recorded, result("02:00:00:00:00:99", "veth9", "10.1.0.2/24"), names)
  names.forget("a")
  expect(compared(recorded, result("02:00:00:00:00:97", "veth7", "10.1.0.3/24"), names, "b")).toEqual([])
})

test("an address of another network, another kind of value, what is missing or new is different", () => {
  expect(compared({ ips: [{ address: "10.1.0.7/24" }] }, { ips: [{ address: "10.2.0.7/24" }] })).toEqual([
    "ips[0].address",
  ])
  expect(compared({ mtu: 1500, a: 1 }, { mtu: "1500", b: 2 })).toEqual(["mtu", "a", "b"])
  expect(compared({ routes: [] }, { routes: [{ dst: "::/0" }] })).toEqual(["routes[0]"])
})

test("what is empty says as much as what is not there", () => {
  expect(compared({ dns: {}, routes: [] }, {})).toEqual([])
})

test("exit status, and text that is no document", () => {
  const names = new Names()
  expect(compareAnswers(answer({ code: 7 }, 1), answer(undefined), names, "a")).toEqual([
    { what: "exit status", recorded: "1", replayed: "0" },
    { what: "stdout", recorded: '{"code":7}', replayed: "" },
  ])
})
