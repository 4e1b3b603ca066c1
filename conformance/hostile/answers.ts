import type { Random } from "./random.ts"

type Json = unknown

/** Addresses that an IPAM plugin may give: any at all, or those of its own network if the node becomes a gateway of theirs. */
export interface Pool {
  readonly addresses: readonly string[]
  readonly gateways: readonly string[]
}

const JUNK: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 31,
  2 ** 53,
  1e308,
  "",
  "\u0000",
  "a".repeat(5000),
  "é\u{1f600}",
  "../../etc/passwd",
  "$(id)",
  '"; reboot; "',
  [],
  {},
  [[]],
  [null],
  { a: {} },
  "eth0",
  "/proc/self/ns/net",
  "0.0.0.0/0",
  "::/0",
  "10.0.0.0/33",
  "1.2.3.4/-1",
  "fe80::1%eth0/64",
  "127.0.0.1/8",
]

/** The answer of an IPAM plugin that means it well, in a version that suits `1.1.0`. */
export function answer(random: Random, pool: Pool): Json {
  const ips = Array.from({ length: 1 + random.below(3) }, () => {
    const address = random.pick(pool.addresses)
    return { address, ...(random.chance(60) && { gateway: random.pick(pool.gateways) }) }
  })
  const destinations = [
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "224.0.0.0/4",
    "198.18.0.0/15",
    "192.168.77.9/32",
    "fe80::/64",
  ]
  const routes = Array.from({ length: random.below(4) }, () => ({
    dst: random.pick(destinations),
    ...(random.chance(50) && { gw: random.pick(pool.gateways) }),
    ...(random.chance(20) && {
      mtu: random.below(70000),
      table: random.below(300),
      scope: random.below(260),
      priority: random.below(9),
    }),
  }))
  const dns = random.chance(30)
    ? { nameservers: ["10.0.0.10"], search: ["a b", "\n"], options: ["x".repeat(300)] }
    : undefined
  return { cniVersion: "1.1.0", ips, routes, ...(dns && { dns }) }
}

/** The same with up to three places spoilt. */
export function spoil(random: Random, value: Json): Json {
  let spoilt = value
  for (let times = random.below(4); times > 0; times--) spoilt = spoilOnce(random, spoilt)
  return spoilt
}

function spoilOnce(random: Random, value: Json): Json {
  if (typeof value !== "object" || value === null || random.chance(15)) return random.pick(JUNK)
  if (Array.isArray(value)) {
    if (value.length === 0 || random.chance(20))
      return Array.from({ length: random.below(200) }, () => random.pick([...value, ...JUNK]))
    const place = random.below(value.length)
    return value.map((entry, index) => (index === place ? spoilOnce(random, entry) : entry))
  }
  const entries = Object.entries(value)
  if (entries.length === 0) return random.pick(JUNK)
  const [key] = random.pick(entries)
  if (random.chance(15)) return Object.fromEntries(entries.filter(([name]) => name !== key))
  return Object.fromEntries(entries.map(([name, inner]) => [name, name === key ? spoilOnce(random, inner) : inner]))
}

/** Returns the script of a shell that plays an IPAM plugin: mostly it prints `text`, but it may also misbehave in the ways a process can. */
export function act(random: Random, text: string): string {
  const print = `cat <<'END-OF-ANSWER'\n${text.replaceAll("\0", "")}\nEND-OF-ANSWER\n`
  if (random.chance(70)) return `${print}exit ${random.chance(85) ? 0 : random.below(256)}\n`
  return random.pick([
    "exec sleep 30\n",
    "kill -9 $$\n",
    "exit 0\n",
    "exec >&-; exit 0\n",
    `${print}${print}exit 0\n`,
    `sleep 1 &\n${print}exit 0\n`,
    `cat >/dev/null; exec <&-; ${print}exit 0\n`,
    "printf '\\377\\376\\000{}'; exit 0\n",
    "head -c 20000000 /dev/zero; exit 0\n",
    "head -c 300000 /dev/zero | tr '\\0' '['; exit 0\n",
    `head -c 3000000 /dev/zero >&2; ${print}exit 0\n`,
    `printf '%s' '{"code": ${random.pick(["7", "11", '"x"', "-3", "1e99", "null"])}, "msg": "\\u001b[31m no \\u0000"}'; exit 1\n`,
  ])
}
