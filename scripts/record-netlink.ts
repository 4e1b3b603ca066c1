import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type GuestResult, runInGuest, section } from "../conformance/systems/vm/guest.ts"

/**
 * Records what ip, nft or tc sends to the kernel and what comes back, in the VM of conformance/systems/vm, as the fixtures that the tests of
 * lib/netlink compare with: `node --import tsx scripts/record-netlink.ts iproute2`, and so on. Run by hand, as root, after conformance/systems/vm/prepare;
 * needs strace and the tool. Rules of routing policy and iptables are recorded in a namespace of this machine: of iptables there is a fixture per
 * version, and the first in PATH counts.
 */
const fixtures = {
  iptables: (version: string) => `lib/netlink/netfilter/fixtures/iptables-${version}.json`,
  iproute2: () => "lib/netlink/route/fixtures/iproute2.json",
  nft: () => "lib/netlink/netfilter/fixtures/nft.json",
  rule: () => "lib/netlink/route/fixtures/rule.json",
  tc: () => "lib/netlink/tc/fixtures/tc.json",
} as const

const veth = "02:00:00:00:00:02"
const eth0 = "02:00:00:00:00:03"

const ofIproute2 = [
  "ip link add cni0 address 02:00:00:00:00:01 mtu 1450 type bridge vlan_filtering 1",
  `ip link add veth0 address ${veth} mtu 1450 master cni0 type veth peer name eth0 address ${eth0} mtu 1450 netns pod`,
  "ip link set cni0 up",
  "ip link set cni0 promisc on",
  "ip link set cni0 mtu 1400",
  "ip link set cni0 address 02:00:00:00:00:01",
  "ip link set cni0 type bridge vlan_filtering 0",
  "ip link set cni0 type bridge vlan_filtering 1",
  "ip link set veth0 up",
  "ip link set veth0 type bridge_slave hairpin on isolated on",
  "ip link set veth0 alias podnet",
  "bridge vlan del dev veth0 vid 1 master",
  "bridge vlan add dev veth0 vid 100 pvid untagged master",
  "bridge vlan add dev veth0 vid 200 master",
  "ip address add 10.244.1.1/24 dev cni0",
  "ip address add fd00:10:244:1::1/64 nodad dev cni0",
  "ip -n pod link set eth0 up",
  "ip -n pod address add 10.244.1.5/24 broadcast 10.244.1.255 dev eth0",
  "ip -n pod address add fd00:10:244:1::5/64 nodad dev eth0",
  "ip -n pod route prepend default via 10.244.1.1 dev eth0",
  "ip -n pod route prepend 10.244.0.0/16 via 10.244.1.1 dev eth0 metric 5 mtu 1400 advmss 1360",
  "ip -n pod route prepend 10.9.0.0/16 dev eth0 scope link table 100",
  "ip -n pod route prepend 10.9.0.0/16 via 10.244.1.1 dev eth0 table 1000",
  "ip -n pod -6 route prepend default via fd00:10:244:1::1 dev eth0",
  "ip -n pod -6 route prepend fd01::/48 via fd00:10:244:1::1 dev eth0",
  "ip -n pod route add 10.8.0.0/16 nexthop via 10.244.1.1 dev eth0 nexthop via 10.244.1.2 dev eth0",
  "ip -n pod -6 route add fd02::/48 nexthop via fd00:10:244:1::1 dev eth0 nexthop via fd00:10:244:1::2 dev eth0",
  "ip neighbour add 10.244.1.5 lladdr 02:00:00:00:00:03 dev cni0",
  "ip neighbour del 10.244.1.5 dev cni0",
  "ip -d -j link show",
  "ip -d -j link show master cni0",
  "ip -n pod -d -j link show",
  "bridge -j vlan show",
  "ip -j address show",
  "ip -n pod -j address show",
  "ip -n pod -j route show table all",
  "ip -n pod -j -6 route show table all",
  "ip address add 10.244.1.1/24 dev cni0",
  "ip -n pod route add 10.7.0.0/16 via 10.99.0.1",
  "ip link add cni0 type bridge",
  "ip link set nosuch up",
  "ip route show table 4000",
  "ip address del 10.244.1.1/24 dev cni0",
  "ip link del veth0",
  "ip link add link cni0 name up0 mtu 1400 netns pod type ipvlan mode l3",
  "ip link add link cni0 name up1 type vlan id 100",
  "ip link add name made0 mtu 1400 type dummy",
  "ip link add name vrf0 type vrf table 100",
  "ip link set made0 netns pod name eth1 alias made0",
]

const masquerade = "inet cni_plugins_masquerade"
const rule = (text: string) => `nft add rule inet test base ${text}`

const ofNft = [
  `nft add table ${masquerade} '{ comment "Masquerading for plugins" ; }'`,
  `nft add chain ${masquerade} masq_checks '{ comment "Masquerade traffic" ; }'`,
  `nft add chain ${masquerade} postrouting '{ type nat hook postrouting priority srcnat ; policy accept ; }'`,
  "nft add table inet test",
  "nft add chain inet test other",
  "nft add chain inet test base '{ type nat hook prerouting priority -100 ; policy accept ; }'",
  "nft add table bridge nat",
  "nft add chain bridge nat PREROUTING '{ type filter hook prerouting priority -300 ; policy accept ; }'",
  `nft add rule ${masquerade} masq_checks ip saddr 10.244.1.2 ip daddr != 10.244.1.0/24 masquerade comment '"one"'`,
  `nft add rule ${masquerade} masq_checks ip6 saddr fd00::2 ip6 daddr != fd00::/61 masquerade comment '"two"'`,
  `nft add rule ${masquerade} postrouting goto masq_checks`,
  rule("tcp dport 8080 fib daddr type local dnat ip to 10.244.1.2:80"),
  rule("meta l4proto 17 ip6 daddr fd00::1 dnat ip6 to [fd00::2]:53"),
  rule("iifname eth0 jump other"),
  rule("meta mark and 0x2000 == 0x2000 accept"),
  "nft add rule bridge nat PREROUTING ether saddr 02:00:00:00:00:02 drop",
  "nft -j list ruleset",
  `nft delete rule ${masquerade} masq_checks handle 3`,
  `nft flush chain ${masquerade} postrouting`,
  "nft delete chain inet test nosuch",
  `nft flush chain ${masquerade} masq_checks`,
]

const everything = "protocol all prio 1 u32 match u32 0 0 flowid 1:1"

const ofTc = [
  "ip link add veth0 type veth peer name eth0",
  "ip link add bwp0 type ifb",
  "tc qdisc add dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000",
  "tc qdisc add dev bwp0 root handle 1: tbf rate 40gbit burst 10mb limit 10mb",
  "tc qdisc add dev veth0 ingress",
  `tc filter add dev veth0 parent ffff: ${everything} action police rate 16mbit burst 200000 drop`,
  "tc -j qdisc show dev veth0",
  "tc -j qdisc show dev bwp0",
  "tc -j filter show dev veth0 parent ffff:",
  "tc qdisc add dev veth0 root handle 2: pfifo",
  "tc filter del dev veth0 parent ffff: protocol all prio 1 u32",
  `tc filter add dev veth0 parent ffff: ${everything} action police rate 40gbit burst 10mb drop`,
  "tc -s -j filter show dev veth0 parent ffff:",
  "tc filter del dev veth0 parent ffff: protocol all prio 1 u32",
  `tc filter add dev veth0 parent ffff: ${everything} action mirred egress redirect dev bwp0`,
  "tc -d -j filter show dev veth0 parent ffff:",
  "tc qdisc del dev veth0 root handle 1:",
  "tc qdisc del dev veth0 ingress",
  "tc filter del dev veth0 parent ffff: protocol all prio 1 u32",
]

const chains = ["filter -N F", "filter -N A", "nat -N D", "nat -N M", "nat -N S"]
const forward = "filter -A F"

/** Commands of the Go plugins, in chains with shorter names. */
const ofIptables = [
  ...["iptables", "ip6tables"].flatMap((program) => chains.map((chain) => `${program} -t ${chain}`)),
  `iptables -t filter -I FORWARD 1 -m comment --comment 'CNI firewall plugin rules' -j F`,
  `iptables -t ${forward} -d 10.1.2.3/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  `iptables -t ${forward} -s 10.1.2.3/32 -j ACCEPT`,
  `iptables -t ${forward} -i cni0 '!' -o cni0 -j A -m comment --comment '(ingressPolicy: same-bridge|isolated)'`,
  `iptables -t ${forward} -i cni0 -o cni0 -j DROP`,
  `iptables -t ${forward} -j RETURN -m comment --comment returns`,
  `iptables -t nat -A POSTROUTING -s 10.1.2.3 -j M -m comment --comment 'name: "net" id: "one"'`,
  `iptables -t nat -A M -d 10.1.2.3/24 -j ACCEPT -m comment --comment 'name: "net" id: "one"'`,
  `iptables -t nat -A M '!' -d 224.0.0.0/4 -j MASQUERADE -m comment --comment 'name: "net" id: "one"'`,
  "iptables -t nat -A M -m mark --mark 0x2000/0x2000 -j MASQUERADE",
  "iptables -t nat -A S -m comment --comment mark -j MARK --set-xmark 0x2000/0x2000",
  "iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j D",
  `iptables -t nat -A D -m comment --comment 'dnat name: "net" id: "one"' -m multiport -p tcp --destination-ports 8080,8443 -j S`,
  "iptables -t nat -A D -p tcp --dport 8080 -d 192.0.2.1 -s 10.1.2.3/24 -j S",
  "iptables -t nat -A D -p udp --dport 53 -s 0.0.0.0/0 -j S",
  "iptables -t nat -A D -p sctp --dport 9999 -s 127.0.0.1 -j S",
  "iptables -t nat -A D -p tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80",
  "ip6tables -t filter -A F -d fd00::2/128 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "ip6tables -t nat -A M '!' -d ff00::/8 -j MASQUERADE",
  "ip6tables -t nat -A D -p tcp --dport 8080 -d fd00::9 -s fd00::2/61 -j S",
  "ip6tables -t nat -A D -p tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80",
]

const ofRule = [
  "ip rule add from 10.1.2.3 table 100",
  "ip rule add from 10.1.2.3/32 table 1000",
  "ip -6 rule add from fd00::3 table 100",
  "ip rule del from 10.1.2.3 table 100 priority 32765",
  "ip rule add from 10.1.2.0/24 table 200",
  "ip rule add from 10.1.2.3 to 10.9.0.0/16 table 200",
  "ip rule add from 10.1.2.3 tos 0x10 table 200",
  "ip rule add from 10.1.2.3 fwmark 7 table 200",
  "ip rule add from 10.1.2.3 iif lo table 200",
  "ip rule add from 10.1.2.3 ipproto tcp dport 80 table 200",
  "ip rule add from 10.1.2.3 table main suppress_prefixlength 0",
  "ip rule add not from 10.1.2.3 table 200",
  "ip rule add from 10.1.2.3 prohibit",
  "ip -j rule show",
  "ip -j -6 rule show",
  "ip rule del from 10.1.2.3 table 4000",
]

const tools = {
  iptables: { commands: ofIptables, version: "iptables --version" },
  iproute2: { commands: ofIproute2, version: "ip -V" },
  nft: { commands: ofNft, version: "nft --version" },
  rule: { commands: ofRule, version: "ip -V" },
  tc: { commands: ofTc, version: "tc -V" },
} as const
const tool = (["iptables", "nft", "rule", "tc"] as const).find((name) => name === process.argv[2]) ?? "iproute2"
const { commands } = tools[tool]
const setUp = `
ip netns add pod
echo "== kernel"; uname -r
echo "== version"; ${tools[tool].version}
number=0
record() {
  number=$((number + 1))
  strace -o /run/trace -e trace=sendmsg,sendto,recvmsg -e write=all -e read=all "$@" >/run/output 2>/run/errors
  for file in output errors trace; do printf '\\n== %s\\n' "$number $file"; cat /run/$file; done
}
`

/** strace and the libraries it needs, by their paths in the guest. */
function straceFiles(): Record<string, string> {
  const strace = execFileSync("which", ["strace"]).toString().trim()
  const libraries =
    execFileSync("ldd", [strace])
      .toString()
      .match(/\/\S+\.so\S*/g) ?? []
  // The guest's /lib is a link: a directory of that name would take its place, and the modules with it.
  return Object.fromEntries([strace, ...libraries].map((path) => [path.replace(/^\/lib/, "/usr/lib"), path]))
}

interface Exchange {
  readonly sent: string[]
  readonly received: string[]
}

/** The datagrams in a trace as hex. A receive that only peeks does not count. */
function datagramsIn(trace: string): Exchange {
  const exchange: Exchange = { sent: [], received: [] }
  for (const call of trace.split(/\n(?=\w+\()/)) {
    const bytes = [...call.matchAll(/^ \| [0-9a-f]+ {2}([0-9a-f ]{1,48}) {2}/gm)].map(([, hex = ""]) => hex).join("")
    const hex = bytes.replaceAll(" ", "")
    if (hex === "" || call.includes("MSG_PEEK")) continue
    exchange[call.startsWith("recv") ? "received" : "sent"].push(hex)
  }
  return exchange
}

/** In namespaces of this machine, with an empty /run. */
function runHere(script: string): GuestResult {
  const argv = ["--net", "--mount", "sh", "-c", `mount -t tmpfs none /run\n${script}`]
  return { exitCode: 0, stdout: execFileSync("unshare", argv).toString(), stderr: "" }
}

const script = setUp + commands.map((command) => `record ${command}`).join("\n")
const guest =
  tool === "iptables" || tool === "rule"
    ? runHere(script)
    : await runInGuest({ files: straceFiles(), script, timeoutSeconds: 300 })

const calls = commands.map((command, index) => {
  const part = (name: string) => section(guest, `${index + 1} ${name}`).trim()
  const output = part("output")
  const { sent, received } = datagramsIn(part("trace"))
  const common = { command, errors: part("errors"), request: sent.at(-1) }
  if (tool === "iptables") return { command, errors: part("errors"), request: sent.at(-1), replies: [] }
  // Where nothing is listed, all but the last exchange only looked up names.
  if (!/^[[{]/.test(output)) return { ...common, replies: received.slice(-1) }
  return { ...common, replies: received, output: JSON.parse(output) }
})
const [rtnetlink = "", version = ""] = ["kernel", "version"].map((name) => section(guest, name).trim())
const file = fixtures[tool](version.match(/[\d.]+/)?.[0] ?? version)
const fixture = fileURLToPath(new URL(`../${file}`, import.meta.url))
writeFileSync(fixture, JSON.stringify({ rtnetlink, [tool]: version, calls }, null, 2))
execFileSync("npx", ["biome", "format", "--write", fixture], { stdio: "inherit" })
