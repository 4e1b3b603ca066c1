/** Calls as runtimes make them, to be damaged: with every key that a plugin reads. */

const prevResult = {
  cniVersion: "1.1.0",
  interfaces: [
    { name: "cni0", mac: "00:11:22:33:44:55", mtu: 1500, sandbox: "" },
    { name: "eth0", mac: "00:11:22:33:44:66", sandbox: "/run/netns/pod" },
  ],
  ips: [
    { interface: 1, address: "10.244.1.2/24", gateway: "10.244.1.1" },
    { interface: 1, address: "fd00::2/64", gateway: "fd00::1" },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "10.244.1.1", mtu: 1400, advmss: 1300, priority: 10, table: 100, scope: 0 }],
  dns: { nameservers: ["10.96.0.10"], domain: "local", search: ["svc"], options: ["ndots:5"] },
}

const hostLocal = {
  type: "host-local",
  dataDir: "/data",
  resolvConf: "/resolv.conf",
  reclaim: true,
  ranges: [
    [{ subnet: "10.244.1.0/24", rangeStart: "10.244.1.10", rangeEnd: "10.244.1.20", gateway: "10.244.1.1" }],
    [{ subnet: "fd00::/64" }],
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "10.244.1.1", table: 100, scope: 253 }],
}

const addresses = { type: "static", addresses: [{ address: "10.1.2.3/24", gateway: "10.1.2.1" }], dns: { domain: "x" } }

const common = {
  cniVersion: "1.1.0",
  name: "net",
  prevResult,
  "cni.dev/valid-attachments": [{ containerID: "c", ifname: "eth0" }],
  args: { cni: { ips: ["10.244.1.12"], mac: "00:11:22:33:44:77" } },
  dns: { nameservers: ["1.1.1.1"] },
}

const runtimeConfig = {
  ips: ["10.244.1.11/24"],
  mac: "00:11:22:33:44:77",
  ipRanges: [[{ subnet: "10.9.0.0/16" }]],
  portMappings: [{ hostPort: 80, containerPort: 8080, protocol: "tcp", hostIP: "127.0.0.1" }],
  bandwidth: { ingressRate: 1000000, ingressBurst: 200000, egressRate: 1000000, egressBurst: 200000 },
}

export const configs: readonly object[] = [
  {
    ...common,
    type: "bridge",
    bridge: "cni0",
    isGateway: true,
    isDefaultGateway: false,
    forceAddress: false,
    ipMasq: true,
    ipMasqBackend: "nftables",
    macspoofchk: true,
    mtu: 1450,
    hairpinMode: true,
    promiscMode: false,
    vlan: 100,
    preserveDefaultVlan: false,
    vlanTrunk: [{ minID: 2, maxID: 10 }, { id: 20 }],
    enabledad: true,
    portIsolation: true,
    disableContainerInterface: false,
    ipam: hostLocal,
    runtimeConfig,
  },
  { ...common, type: "ptp", mtu: 1450, ipMasq: true, ipMasqBackend: "iptables", ipam: hostLocal, runtimeConfig },
  { ...common, type: "macvlan", master: "eth0", mode: "bridge", mtu: 1400, linkInContainer: false, ipam: addresses },
  {
    ...common,
    type: "tap",
    multiQueue: true,
    owner: 1000,
    group: 1000,
    bridge: "br0",
    mtu: 1400,
    mac: "02:00:00:00:00:7a",
    ipam: addresses,
    runtimeConfig,
  },
  {
    ...common,
    type: "portmap",
    snat: true,
    masqAll: false,
    markMasqBit: 13,
    conditionsV4: ["-s", "10.0.0.0/8", "!", "-d", "192.0.2.0/24"],
    conditionsV6: [],
    runtimeConfig,
  },
  {
    ...common,
    type: "portmap",
    backend: "nftables",
    conditionsV6: ["ip6 saddr != fd00::/8", "mark & 1 1"],
    runtimeConfig,
  },
  {
    ...common,
    type: "bandwidth",
    ingressRate: 8000,
    ingressBurst: 8000,
    egressRate: 8000,
    egressBurst: 8000,
    runtimeConfig,
  },
  {
    ...common,
    type: "host-device",
    device: "ens4",
    hwaddr: "02:00:00:00:0d:01",
    kernelpath: "/sys/devices/pci0000:00/0000:00:04.0",
    pciBusID: "0000:00:04.0",
    runtimeConfig: { deviceID: "0000:00:04.1" },
    ipam: addresses,
  },
  { ...common, type: "host-local", ipam: hostLocal, runtimeConfig },
  { ...common, type: "static", ipam: addresses },
  { ...common, type: "loopback" },
  { ...common, type: "dummy", ipam: addresses },
  { ...common, type: "vrf", vrfname: "blue", table: 1001 },
  {
    ...common,
    type: "firewall",
    backend: "iptables",
    iptablesAdminChainName: "CNI-ADMIN",
    firewalldZone: "trusted",
    ingressPolicy: "same-bridge",
  },
  { ...common, type: "firewall", backend: "firewalld", firewalldZone: "public", ingressPolicy: "isolated" },
  { ...common, type: "sbr", table: 5000 },
  {
    ...common,
    type: "tuning",
    sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1", "net/core/somaxconn": "500" },
    mac: "02:00:00:00:00:7a",
    mtu: 1400,
    promisc: true,
    allmulti: false,
    txQLen: 500,
    dataDir: "/run/cni/tuning",
    args: { cni: { sysctl: { "net.ipv4.ip_forward": "0" }, mac: "02:00:00:00:00:7b", mtu: 1300 } },
    runtimeConfig,
  },
  { ...common, type: "ipvlan", master: "eth0", mode: "l3s", mtu: 1400, linkInContainer: false, ipam: addresses },
  { ...common, type: "vlan", master: "eth0", vlanId: 100, mtu: 1400, linkInContainer: false, ipam: addresses },
]

export const argumentLists: readonly string[] = [
  "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0",
  "IP=10.1.2.3/24;GATEWAY=10.1.2.1",
  "IgnoreUnknown=true;IP=10.1.2.3,fd00::3;MAC=00:11:22:33:44:55",
]
