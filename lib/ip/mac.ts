import { host } from "../sys/host.ts"

/** A MAC address: its six bytes. */
export type Mac = Uint8Array

/**
 * The hardware address that `text` writes in one of the forms operators use
 * (`aa:bb:cc:dd:ee:ff`, `aa-bb-cc-dd-ee-ff`, `aabb.ccdd.eeff`), or undefined.
 */
export function parseMac(text: string): Mac | undefined {
  const [size, count, separators] = text.length === 17 ? [2, 6, ":-"] : [4, 3, "."]
  const separator = text.charAt(size)
  const groups = text.toLowerCase().split(separator)
  if (!separators.includes(separator) || groups.length !== count || groups.some((group) => group.length !== size)) {
    return undefined
  }
  const digits = groups.join("")
  const mac = new Uint8Array(6)
  for (let at = 0; at < digits.length; at++) {
    const value = DIGITS.indexOf(digits.charAt(at))
    if (value < 0) return undefined
    mac[at >> 1] = 16 * (mac[at >> 1] as number) + value
  }
  return mac
}

const DIGITS = "0123456789abcdef"

/** Lower-case pairs with colons. */
export function formatMac(mac: Mac): string {
  return host.hex(mac, ":")
}

/** Six random bytes made a unicast, locally administered address. */
export function localMac(random: Uint8Array): Mac {
  const mac = random.slice(0, 6)
  mac[0] = ((mac[0] ?? 0) & 0xfe) | 0x02
  return mac
}
