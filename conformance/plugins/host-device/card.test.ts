import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { binDirectory } from "../../lab/executables.ts"
import type { Described } from "../../lab/namespace.ts"
import { type GuestResult, runInGuest, section } from "../../systems/vm/guest.ts"

/** The card's MAC address and PCI address: see guest.ts. */
const [MAC, PCI] = ["02:00:00:00:00:10", "0000:00:10.0"]

let guest: GuestResult

beforeAll(async () => {
  guest = await runInGuest({
    cards: 2,
    files: {
      "/opt/ours/host-device": join(binDirectory(), "host-device"),
      "/opt/ours/static": join(binDirectory(), "static"),
      "/opt/reference/host-device": join(binDirectory("reference"), "host-device"),
    },
    script: CALLS + FOUND + ENDS,
  })
})

/** The name and the alias of the card, as a section shows it. */
function cardIn(name: string): (string | undefined)[] {
  const links: Described[] = JSON.parse(section(guest, name))
  const card = links.find(({ address }) => address === MAC)
  return [card?.ifname, card?.["ifalias"] as string | undefined]
}

describe("a card in a PCI slot", () => {
  test.each(["pciBusID", "deviceID", "kernelpath"])("is found by %s, reached in the pod and given back", (key) => {
    expect(cardIn(`${key} in the pod`)).toEqual(["net1", "eth0"])
    expect(section(guest, `${key} ping`)).toContain("1 received")
    expect(section(guest, `${key} CHECK`).trim()).toBe("0")
    expect(cardIn(`${key} on the node`)).toEqual(["eth0", undefined])
  })

  test("is where the pod's namespace ended down, with the pod's name, or dev<N> if that is taken, and its alias", () => {
    expect(cardIn("DEL: ended")).toEqual(["net1", "eth0"])
    expect(cardIn("GC: ended")).toEqual(["net1", "eth0"])
    expect(cardIn("taken: ended")).toEqual([expect.stringMatching(/^dev\d+$/), "eth0"])
  })

  test.each(["DEL", "GC", "taken"])("gets its name again then: %s", (name) => {
    expect(cardIn(`${name}: healed`)).toEqual(["eth0", undefined])
  })

  test("serves the next pod then, and has its name afterwards", () => {
    expect(cardIn("ADD: in the pod")).toEqual(["net1", "eth0"])
    expect(cardIn("ADD: healed")).toEqual(["eth0", undefined])
  })

  test("keeps the pod's name then with the reference's DEL, and the next ADD does not find it", () => {
    expect(cardIn("reference: DEL")).toEqual(["net1", "eth0"])
    expect(section(guest, "reference: ADD")).toContain("Link not found")
  })
})

const CALLS = `
export CNI_CONTAINERID=one CNI_IFNAME=net1 CNI_NETNS=/run/netns/pod
call() { # implementation, command, keys
  echo '{ "cniVersion": "1.1.0", "name": "net", "type": "host-device", '"$3"' }' >/run/config
  CNI_PATH=/opt/$1 CNI_COMMAND=$2 /opt/$1/host-device </run/config
}
links() { ip -j link show; }
show() { echo; echo "== $1"; }
# Until the kernel has taken the namespace apart.
awaitCard() { until ip link show | grep -q ${MAC}; do sleep 0.1; done; }
modprobe -a virtio_pci virtio_net
until ip link show eth1 >/dev/null 2>&1; do sleep 0.1; done
ip addr add 10.20.0.1/24 dev eth1
ip link set eth1 up
`

const FOUND = `
static='"ipam": { "type": "static", "addresses": [{ "address": "10.20.0.2/24" }] }'
try() { # key, the JSON that says it
  ip netns add pod
  call ours ADD "$2, $static" >/run/result
  show "$1 in the pod"; ip -n pod -j link show
  show "$1 ping"; ip netns exec pod ping -c 1 -W 5 10.20.0.1
  show "$1 CHECK"; call ours CHECK "$2, $static, \\"prevResult\\": $(cat /run/result)"; echo $?
  call ours DEL "$2, $static"
  show "$1 on the node"; links
  ip netns del pod
}
try pciBusID '"pciBusID": "${PCI}"'
try deviceID '"runtimeConfig": { "deviceID": "${PCI}" }'
try kernelpath "\\"kernelpath\\": \\"$(readlink -f /sys/bus/pci/devices/${PCI}/virtio*)\\""
`

const ENDS = `
device='"device": "eth0"'
pci='"pciBusID": "${PCI}"'
end() { # implementation, keys: a pod gets the card, and its namespace ends before DEL
  ip netns add pod
  call $1 ADD "$2" >/dev/null
  ip netns del pod
  awaitCard
}
end ours "$pci"
show "DEL: ended"; links
call ours DEL "$pci"
show "DEL: healed"; links

end ours "$device"
show "GC: ended"; links
CNI_NETNS= call ours GC "$device, \\"cni.dev/valid-attachments\\": []"
show "GC: healed"; links

ip link add net1 type dummy
end ours "$pci"
show "taken: ended"; links
CNI_NETNS= call ours GC "$pci, \\"cni.dev/valid-attachments\\": []"
show "taken: healed"; links
ip link del net1

end ours "$device"
ip netns add pod
call ours ADD "$device" >/dev/null
show "ADD: in the pod"; ip -n pod -j link show
call ours DEL "$device"
show "ADD: healed"; links

end reference "$device"
CNI_NETNS= call reference DEL "$device"
show "reference: DEL"; links
ip netns add pod
show "reference: ADD"; call reference ADD "$device"
true
`
