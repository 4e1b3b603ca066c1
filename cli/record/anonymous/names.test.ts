import { expect, test } from "vitest"
import type { Json } from "../../../lib/cni/json.ts"
import { Names } from "./names.ts"

const ENV = {
  CNI_CONTAINERID: "0123456789abcdef",
  CNI_NETNS: "/var/run/netns/cni-a260cb55",
  CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;OWNER=jane;COUNT=1",
}

function replacerAfter(document: Json, plugin = "bridge"): (text: string) => string {
  const names = new Names()
  names.learn({ plugin, command: "ADD", env: ENV, stdin: "" }, [document])
  return names.replacer()
}

test("names of pods, containers and namespaces are other words, wherever they stand", () => {
  const replace = replacerAfter({})
  expect(replace("pod shop/web-1 (0123456789abcdef) of jane in /var/run/netns/cni-a260cb55")).toBe(
    "pod namespace-1/pod-1-1 (container-1) of text-1 in /var/run/netns/netns-1",
  )
  expect(replace("webs 1 10123456789abcdef")).toBe("webs 1 10123456789abcdef")
})

test("what a configuration calls networks, domains and secrets; values of users", () => {
  const replace = replacerAfter({
    name: "acme-prod",
    type: "bridge",
    apiKey: "k3y+",
    runtimeConfig: {
      dns: { Searches: ["corp.example"] },
      "io.kubernetes.cri.pod-annotations": { team: "payments", count: "12" },
    },
    prevResult: { interfaces: [{ name: "cni0" }], dns: { domain: "prod.example" } },
  })
  expect(replace("acme-prod corp.example prod.example payments k3y+ cni0 12")).toBe(
    "network-1 domain-1 domain-2 text-2 secret-1 cni0 12",
  )
})

test("a network that is called as a plugin keeps its name: so would the plugin's", () => {
  expect(replacerAfter({ name: "portmap", plugins: [{ type: "portmap" }] })("portmap")).toBe("portmap")
})
