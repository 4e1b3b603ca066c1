/** A MAC address: its six bytes. */
export type Mac = Uint8Array

/**
 * The hardware address that `text` writes in one of the forms operators use
 * (`aa:bb:cc:dd:ee:ff`, `aa-bb-cc-dd-ee-ff`, `aabb.ccdd.eeff`), or undefined.
 */
export function parseMac(text: string): Mac | undefined {
  const pairs = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}$/i.test(text)
  const quads = /^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}$/i.test(text)
  if (!pairs && !quads) return undefined
  const digits = text.replace(/[:.-]/g, "")
  return Uint8Array.from({ length: 6 }, (_, index) => Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16))
}

/** Lower-case pairs with colons. */
export function formatMac(mac: Mac): string {
  let text = ""
  for (const byte of mac) text += (text && ":") + (byte < 16 ? "0" : "") + byte.toString(16)
  return text
}

/** Six random bytes made a unicast, locally administered address. */
export function localMac(random: Uint8Array): Mac {
  const mac = random.slice(0, 6)
  mac[0] = ((mac[0] ?? 0) & 0xfe) | 0x02
  return mac
}
