import { describe, expect, it } from "vitest"
import { parseArgs } from "./args.ts"

const parse = (text: string) => parseArgs(text, ["IP", "MAC"])

const refused = (message: string) => expect.objectContaining({ code: 4, message })

function failure(text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    return error
  }
}

describe("parseArgs", () => {
  it("reads the known keys", () => {
    expect(parse("")).toEqual({})
    expect(parse("IP=10.1.2.3;MAC=c2:b0:57:49:47:f1")).toEqual({ IP: "10.1.2.3", MAC: "c2:b0:57:49:47:f1" })
    expect(parse("IP=")).toEqual({ IP: "" })
  })

  it("counts the last of a key given twice", () => {
    expect(parse("IP=10.0.0.1;IP=10.0.0.2")).toEqual({ IP: "10.0.0.2" })
    expect(parse("IgnoreUnknown=0;A=b;IgnoreUnknown=1")).toEqual({})
  })

  it("ignores what Kubernetes sends along, wherever IgnoreUnknown stands", () => {
    const pod = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=abc;K8S_POD_UID=1-2"
    expect(parse(`IgnoreUnknown=1;${pod}`)).toEqual({})
    expect(parse(`${pod};IgnoreUnknown=1;IP=10.1.2.3`)).toEqual({ IP: "10.1.2.3" })
    expect(parse(`MAC=02:00:00:00:00:01;${pod};IgnoreUnknown=1`)).toEqual({ MAC: "02:00:00:00:00:01" })
  })

  it.each(["1", "true", "TRUE", "True"])("ignores unknown keys with IgnoreUnknown=%s", (value) => {
    expect(parse(`A=b;IgnoreUnknown=${value}`)).toEqual({})
  })

  it.each(["IgnoreUnknown=0", "IgnoreUnknown=false", "IgnoreUnknown=FALSE", "IgnoreUnknown=1;IgnoreUnknown=0"])(
    "refuses unknown keys with %s",
    (switches) => {
      expect(failure(`A=b;${switches};C=d`)).toEqual(refused('invalid CNI_ARGS: unknown args ["A=b" "C=d"]'))
    },
  )

  it("refuses unknown keys without IgnoreUnknown", () => {
    expect(failure("IP=10.0.0.1;K8S_POD_NAME=web-0")).toEqual(
      refused('invalid CNI_ARGS: unknown args ["K8S_POD_NAME=web-0"]'),
    )
  })

  it.each(["ip=10.0.0.1", "Ip=10.0.0.1", "ignoreunknown=1", "=x", " IP=x", "__proto__=x", "constructor=x"])(
    "does not know %j: keys are exact",
    (pair) => expect(failure(pair)).toEqual(refused(`invalid CNI_ARGS: unknown args [${JSON.stringify(pair)}]`)),
  )

  it.each([
    ["IP", "IP"],
    ["IP=a=b", "IP=a=b"],
    ["IP=10.0.0.1;", ""],
    [";IP=10.0.0.1", ""],
    ["IgnoreUnknown=1;;A=b", ""],
    ["IgnoreUnknown=1;A==b", "A==b"],
    [" ", " "],
  ])("refuses %j, where a pair has not exactly one =", (text, pair) => {
    expect(failure(text)).toEqual(refused(`invalid CNI_ARGS: invalid pair ${JSON.stringify(pair)}`))
  })

  it.each(["", "2", "yes", "tru", " 1", "01"])("refuses IgnoreUnknown=%s, even if nothing is unknown", (value) => {
    expect(failure(`IP=10.0.0.1;IgnoreUnknown=${value}`)).toEqual(
      refused(`invalid CNI_ARGS: IgnoreUnknown is ${JSON.stringify(value)}, not 0, 1, true or false`),
    )
  })

  it("is for plugins that know no key at all, too", () => {
    expect(parseArgs("IgnoreUnknown=1;IP=10.0.0.1", [])).toEqual({})
    expect(() => parseArgs("IP=10.0.0.1", [])).toThrow('unknown args ["IP=10.0.0.1"]')
  })
})
