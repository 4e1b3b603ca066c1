import { decodeArpReply } from "../../../cli/probes/arp.ts"
import { decodeAnswer, encodeQuery } from "../../../cli/probes/dns.ts"
import { decodeAdvertisement, decodeEchoReply } from "../../../cli/probes/icmp.ts"
import { formatMac } from "../../../lib/ip/mac.ts"
import { damagedBytes } from "./damage.ts"
import type { Target } from "./target.ts"

const packets = [
  "0001080006040002 02aabbccdd99 0af40101 02aabbccdd01 0af40102",
  "4500002600004000 40010000 0af40101 0af40102 0000ffff 12340507 0102030405060708 0000",
  "8100ffff 12340507 0102030405060708",
  "8800ffff60000000 fd000000000000000000000000000001 0201 02aabbccdd99",
  "beef81820001000000000000 0a6b756265726e65746573 0764656661756c74 00 00010001",
  "beef81800001000100000000 0000020001 00 00020001 00000e10 0004 01610000",
].map((hex) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex")))

/** Whoever answers a pod says a whole MAC address, a code that has a name, or nothing. */
function hear(hex: string): void {
  const packet = new Uint8Array(Buffer.from(hex, "hex"))
  for (const answer of [decodeArpReply(packet), decodeAdvertisement(packet)]) {
    if (answer?.mac && !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(formatMac(answer.mac)))
      throw new Error(`no MAC address: ${hex}`)
  }
  for (const family of [4, 6] as const) {
    const { nonce } = decodeEchoReply(family, packet) ?? {}
    if (nonce && nonce.length !== 8) throw new Error(`${nonce.length} bytes of a nonce: ${hex}`)
  }
  for (const name of ["", "kubernetes.default"]) {
    const query = encodeQuery(0xbeef, name)
    const code = query && decodeAnswer(packet, query)
    if (code !== undefined && !/^[A-Z]+[0-9]*$/.test(code)) throw new Error(`no code: ${code}`)
  }
}

export const packetTargets: readonly Target[] = [
  { name: "what a pod's neighbours and nameservers answer", inputs: damagedBytes(packets), check: hear },
]
