import { beforeAll, describe, expect, test } from "vitest"
import { binDirectory } from "../../lab/executables.ts"
import { type GuestResult, runInGuest, section } from "../../systems/vm/guest.ts"

/** One boot of Debian's kernel, which has act_police: every question is a section of the script. */
let guest: GuestResult

beforeAll(async () => {
  const files = {
    "/opt/cni/bin/bandwidth": `${binDirectory()}/bandwidth`,
    "/opt/go/bandwidth": `${binDirectory("reference")}/bandwidth`,
  }
  guest = await runInGuest({ files, script, timeoutSeconds: 200 })
})

const text = (name: string) => section(guest, name).trim()
const json = (name: string) => JSON.parse(text(name))

test("the script ran to its end", () => expect([guest.exitCode, guest.stderr]).toEqual([0, ""]))

test("a burst too small for what TCP hands over at once is held at 68 KiB", () => {
  expect(text("small burst")).toMatch(/rate 16Mbit burst (6963\db|68Kb)/)
  expect(text("small burst check")).toBe("0")
})

describe("egress in auto mode, where the kernel has police", () => {
  test("is limited by police with drop for every protocol, and without an ifb", () => {
    expect(json("add").interfaces).toHaveLength(2)
    expect(text("ifbs")).toBe("0")
    const [filter, ...others] = json("filters").filter(
      (found: { options?: object }) => found.options && "actions" in found.options,
    )
    expect(others).toEqual([])
    expect(filter).toMatchObject({
      protocol: "all",
      pref: 1,
      kind: "u32",
      options: { match: { value: "0", mask: "0" }, actions: [{ kind: "police" }] },
    })
    expect(text("filters as text")).toMatch(/police 0x\w+ rate 16Mbit burst 200000b mtu \S+ action drop/)
  })

  test("leaves ingress to tbf", () => {
    expect(json("qdiscs").map(({ kind }: { kind: string }) => kind)).toEqual(["tbf", "ingress"])
  })

  test("is checked, drifts are named", () => {
    expect(text("check")).toBe("0")
    expect(json("check another rate")).toMatchObject({
      code: 104,
      msg: expect.stringContaining("rate of the policing of vhost is 2000000 bytes/s, not 1000000"),
    })
    expect(json("check without filter")).toMatchObject({
      code: 104,
      msg: expect.stringContaining("vhost has no filter"),
    })
  })

  test("is replaced by a second ADD, and survives the DEL of either implementation, since it goes with the veth", () => {
    expect(text("again")).toBe("0 1")
    expect(text("del")).toBe("0 0 0")
  })

  test("is not known to the reference's CHECK, which looks for its ifb", () => {
    expect(json("reference check").msg).toContain("get ifb device")
  })
})

test("egressMode ifb makes the reference's ifb here too", () => {
  expect(json("ifb").interfaces).toHaveLength(3)
  expect(text("ifb check")).toBe("0 0")
})

test("40 Gbit/s and a burst beyond 32 bits of ticks are what CHECK finds", () => {
  expect(text("extremes")).toBe("0 0\n0 0")
})

describe.each([
  ["dropped", "police"],
  ["overlimits", "ifb"],
])("what goes beyond the limit is %s of %s", (counter, mode) => {
  test.each([
    ["IPv4", "10.9.0.1"],
    ["IPv6", "fd00::1"],
    ["frames of a VLAN, as an example of all other protocols", "10.8.0.1"],
  ])("%s", (_, address) => expect(text(`${mode} flood ${address}`)).toMatch(new RegExp(`^${counter} [1-9]`)))
})

test("a TCP connection lives, and gets no more in 3 s than the limit and one burst", () => {
  const megabits = (3 * Number(text("tcp"))) / 1e6
  expect(megabits).toBeGreaterThan(3) // processors are emulated: plugins/bandwidth/README.md has figures
  expect(megabits).toBeLessThan(3 * 10 + 4)
  expect(text("tcp drops")).toMatch(/^dropped [1-9]/)
})

const script = `
set -e
export CNI_PATH=/opt/cni/bin CNI_CONTAINERID=one CNI_IFNAME=eth0 CNI_NETNS=/run/netns/one
ours=/opt/cni/bin/bandwidth go=/opt/go/bandwidth
ip netns add one
ip link add vhost up type veth peer name eth0 netns one
ip -n one link set eth0 up
ip address add 10.9.0.1/24 dev vhost; ip address add fd00::1/64 nodad dev vhost
ip -n one address add 10.9.0.2/24 dev eth0; ip -n one address add fd00::2/64 nodad dev eth0
prev='"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"vhost"},{"name":"eth0","sandbox":"/run/netns/one"}]}'
limits='"ingressRate":8000000,"ingressBurst":800000,"egressRate":16000000,"egressBurst":1600000'
# call EXECUTABLE COMMAND KEYS
call() { echo "{\\"cniVersion\\":\\"1.0.0\\",\\"name\\":\\"net\\",\\"type\\":\\"bandwidth\\",$prev,$3}" | CNI_COMMAND=$2 $1 2>&1; }
say() { printf '\\n== %s\\n' "$*"; }
code() { call "$@" >/dev/null && printf 0 || printf 1; }
filters() { tc filter show dev vhost parent ffff: | grep -c $1 || true; }

say add; call $ours ADD "$limits"
say ifbs; ip -o link show | grep -c bwp || true
say filters; tc -j filter show dev vhost parent ffff:
say filters as text; tc filter show dev vhost parent ffff:
say qdiscs; tc -j qdisc show dev vhost
say check; echo $(code $ours CHECK "$limits")
say check another rate
call $ours CHECK '"ingressRate":8000000,"ingressBurst":800000,"egressRate":8000000,"egressBurst":1600000' || true
say reference check; call $go CHECK "$limits" || true
say again; echo $(code $ours ADD "$limits") $(filters police)
say del; echo $(code $ours DEL "$limits") $(code $ours DEL "$limits") $(code $go DEL "$limits")
tc filter del dev vhost parent ffff:
say check without filter; call $ours CHECK "$limits" || true
tc qdisc del dev vhost root

say ifb; call $ours ADD "$limits,\\"egressMode\\":\\"ifb\\""
say ifb check; echo $(code $ours CHECK "$limits") $(code $go CHECK "$limits")
call $go DEL "$limits"
tc qdisc del dev vhost root; tc qdisc del dev vhost ingress

say extremes
for limit in '"egressRate":40000000000,"egressBurst":400000000' '"egressRate":1000000,"egressBurst":34359738350'; do
  echo $(code $ours ADD "$limit") $(code $ours CHECK "$limit")
done

limit='"egressRate":16000000,"egressBurst":80000'
call $ours ADD "$limit" >/dev/null
say small burst; tc filter show dev vhost parent ffff:
say small burst check; echo $(code $ours CHECK "$limit")

ip link add link vhost name vhost.5 up type vlan id 5; ip address add 10.8.0.1/24 dev vhost.5
ip -n one link add link eth0 name eth0.5 up type vlan id 5; ip -n one address add 10.8.0.2/24 dev eth0.5
# counted NAME COMMAND...: how much more tc's counters of that name say after the command
counters() { { tc -s filter show dev vhost parent ffff:; tc -s qdisc show; } | sed -n "s/.*$1 \\([0-9]*\\).*/\\1/p" | tr '\\n' +; }
counted() {
  name=$1; shift; before=$(($(counters $name) 0))
  "$@" >/dev/null || true
  echo $name $(($(counters $name) 0 - before))
}
for mode in police ifb; do
  case $mode in police) word=dropped;; *) word=overlimits;; esac
  call $ours ADD '"egressRate":80000,"egressBurst":80000,"egressMode":"'$mode'"' >/dev/null
  for address in 10.9.0.1 fd00::1 10.8.0.1; do
    say $mode flood $address; counted $word ip netns exec one ping -q -f -c 300 -s 1400 -w 2 $address
  done
done
call $ours DEL "$limits"

call $ours ADD '"egressRate":10000000,"egressBurst":4000000' >/dev/null
iperf3 -s -D
transfer() {
  for attempt in 1 2 3 4 5 6 7 8 9; do
    ip netns exec one iperf3 -c 10.9.0.1 -J -t 3 >/run/transfer && return
    sleep 0.3
  done
}
tcp=$(counted dropped transfer)
say tcp; jq -M .end.sum_received.bits_per_second /run/transfer
say tcp drops; echo $tcp
`
