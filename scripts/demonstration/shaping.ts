import { binDirectory } from "../../conformance/lab/executables.ts"
import { runInGuest, section } from "../../conformance/systems/vm/guest.ts"

/**
 * Measures what a TCP connection gets of the bandwidth plugin's limits on Debian's kernel, in the VM of conformance/systems/vm, for
 * plugins/bandwidth/README.md: `node --import tsx scripts/demonstration/shaping.ts`. Run by hand, as root, after conformance/systems/vm/prepare; minutes.
 */
const M = 1e6
const RATES = [1, 10, 100, 1000].map((mega) => mega * M)
/** The burst as the time in which the rate fills it. */
const BURSTS = [0, 0.02, 0.05, 0.1, 0.2, 0.5, 1]

interface Row {
  readonly name: string
  readonly rate: number
  readonly seconds: number
  readonly keys: Readonly<Record<string, unknown>>
}

function row(direction: string, rate: number, seconds: number, egressMode: string): Row {
  const burst = Math.max(Math.round(rate * seconds), 8)
  const keys = { egressMode, [`${direction}Rate`]: rate, [`${direction}Burst`]: burst }
  return { name: `${direction} ${egressMode} ${rate} ${seconds}`, rate, seconds, keys }
}

const rows = RATES.flatMap((rate) => [
  row("ingress", rate, 0.1, "ifb"),
  row("egress", rate, 0.1, "ifb"),
  ...BURSTS.map((seconds) => row("egress", rate, seconds, "police")),
])

const setUp = `
export CNI_PATH=/opt/cni/bin CNI_CONTAINERID=one CNI_IFNAME=eth0 CNI_NETNS=/run/netns/one
ip netns add one
ip link add vhost up mtu 1450 type veth peer name eth0 mtu 1450 netns one
ip -n one link set eth0 up
ip address add 10.9.0.1/24 dev vhost
ip -n one address add 10.9.0.2/24 dev eth0
ip link set lo up
iperf3 -s -D >/dev/null
sleep 1
prev='"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"vhost"},{"name":"eth0","sandbox":"/run/netns/one"}]}'
# measure NAME OMIT KEYS [REVERSE]
measure() {
  echo; echo "== $1"
  echo "{\\"cniVersion\\":\\"1.0.0\\",\\"name\\":\\"net\\",\\"type\\":\\"bandwidth\\",$prev,$3}" >/run/config
  CNI_COMMAND=ADD $CNI_PATH/bandwidth </run/config >/run/result || cat /run/result
  ip netns exec one iperf3 -c 10.9.0.1 -J -t 4 -O $2 $4 |
    jq -cM '[.end.sum_received.bits_per_second, .end.sum_sent.retransmits, .error]'
  CNI_COMMAND=DEL $CNI_PATH/bandwidth </run/config
  tc qdisc del dev vhost root 2>/dev/null; tc qdisc del dev vhost ingress 2>/dev/null
}
`

const script =
  setUp +
  rows
    .map(({ name, seconds, keys }) => {
      const json = JSON.stringify(keys).slice(1, -1)
      return `measure '${name}' ${Math.ceil(1 + seconds)} '${json}' ${"ingressRate" in keys ? "-R" : ""}`
    })
    .join("\n")

const guest = await runInGuest({
  files: { "/opt/cni/bin/bandwidth": `${binDirectory()}/bandwidth` },
  script,
  timeoutSeconds: 900,
})

for (const { name, rate } of rows) {
  const [bits, retransmits, error] = JSON.parse(section(guest, name))
  console.log(name.padEnd(40), error ?? (bits / rate).toFixed(3), retransmits)
}
