import { copyFileSync, linkSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { binDirectory } from "../../lab/executables.ts"
import { type GuestResult, runInGuest, section } from "./guest.ts"

describe("one boot of the guest", () => {
  let directory: string
  let guest: GuestResult

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "cnits-guest-"))
    const [bridge, loopback] = [join(directory, "bridge"), join(directory, "loopback")]
    copyFileSync(join(binDirectory(), "bridge"), bridge)
    linkSync(bridge, loopback)
    guest = await runInGuest({ files: { "/opt/bridge": bridge, "/opt/deeper/loopback": loopback }, script })
  })

  afterAll(() => rmSync(directory, { recursive: true }))

  test("hands back the script's exit code", () => expect(guest.exitCode).toBe(7))

  test("hands back bytes as they were written", () => {
    expect(section(guest, "bytes")).toBe("tab\tcr\r\n\n\u0003\u0004\u0011\u0013 é no newline at the end")
    expect(guest.stderr).toBe("to stderr\n")
  })

  test("loses nothing of a long output", () => {
    const expected = Array.from({ length: 20_000 }, (_, i) => i + 1).join("\n")
    expect(section(guest, "long") === expected).toBe(true)
  })

  test("names the sections it has when asked for another", () => {
    expect(() => section(guest, "nothing")).toThrow(/no section "nothing", only vlans, same VLAN, .*; exit code 7/)
  })

  test("filters VLANs on a bridge", () => {
    expect(JSON.parse(section(guest, "vlans"))).toContainEqual({
      ifname: "port",
      vlans: [
        { vlan: 1, flags: ["Egress Untagged"] },
        { vlan: 42, flags: ["PVID", "Egress Untagged"] },
      ],
    })
  })

  test("delivers a frame within its VLAN and drops it outside", () => {
    expect(section(guest, "same VLAN")).toContain("1 received")
    expect(section(guest, "other VLAN")).toContain("0 received")
  })

  test("polices ingress traffic", () => {
    expect(JSON.parse(section(guest, "police"))).toContainEqual(
      expect.objectContaining({ options: expect.objectContaining({ kind: "police" }) }),
    )
    expect(section(guest, "police rate")).toContain("rate 8Mbit burst 100Kb")
  })

  test("loads the kernel's modules as they are needed", () => {
    expect(section(guest, "modules")).toBe("tbf ifb dummy macvlan matchall masquerade bridge-reject")
  })

  test("runs an executable of ours under each of its names", () => {
    expect(section(guest, "names")).toMatch(/^CNI bridge plugin .*\nCNI loopback plugin .*$/)
    expect(section(guest, "links")).toBe("2")
  })
})

test("a script that hangs is ended and reported", async () => {
  await expect(runInGuest({ script: "sleep 1000", timeoutSeconds: 8 })).rejects.toThrow("did not finish within 8 s")
})

test("a guest that stops before its script ends is reported", async () => {
  const run = runInGuest({ script: "echo so far; stty -F /dev/ttyS1 raw; echo b >/proc/sysrq-trigger; sleep 1000" })
  await expect(run).rejects.toThrow(/stopped before its script ended[\s\S]*so far/)
})

const script = `
echo to stderr >&2

echo == vlans
ip link add br0 type bridge vlan_filtering 1
ip link add port type veth peer name peer
ip link set port master br0
bridge vlan add dev port vid 42 pvid untagged
bridge -j vlan

for pod in one:42 two:42 other:43; do
  name=\${pod%:*}
  ip netns add $name
  ip link add $name type veth peer name eth0 netns $name
  ip link set $name master br0 up
  bridge vlan add dev $name vid \${pod#*:} pvid untagged
  bridge vlan del dev $name vid 1
  ip -n $name link set eth0 up
done
ip link set br0 up
ip -n one address add 10.9.0.1/24 dev eth0
ip -n two address add 10.9.0.2/24 dev eth0
ip -n other address add 10.9.0.3/24 dev eth0
echo == same VLAN
ip netns exec one ping -c 1 -W 10 10.9.0.2
echo == other VLAN
ip netns exec one ping -c 1 -W 1 10.9.0.3

tc qdisc add dev port ingress
tc filter add dev port parent ffff: protocol all u32 match u32 0 0 police rate 8mbit burst 100k drop
echo == police
tc -j filter show dev port parent ffff:
echo == police rate
tc filter show dev port parent ffff:

echo == modules
tc qdisc add dev port root tbf rate 1mbit burst 10k latency 50ms && printf 'tbf '
ip link add shaped type ifb && printf 'ifb '
ip link add made-up type dummy && printf 'dummy '
ip link add link made-up type macvlan mode bridge && printf 'macvlan '
tc qdisc add dev made-up clsact &&
  tc filter add dev made-up ingress matchall action mirred egress redirect dev shaped && printf 'matchall '
nft 'table ip t { chain c { type nat hook postrouting priority 100; masquerade; }; }' && printf 'masquerade '
nft 'table bridge t { chain c { type filter hook input priority 0; reject; }; }' && printf 'bridge-reject\\n'

echo == names
/opt/bridge 2>&1 | head -n 1
/opt/deeper/loopback 2>&1 | head -n 1
echo == links
stat -c %h /opt/bridge

echo == long
seq 20000
echo == bytes
printf 'tab\\tcr\\r\\n\\n\\003\\004\\021\\023 é no newline at the end'
exit 7
`
