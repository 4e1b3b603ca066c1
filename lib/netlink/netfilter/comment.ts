import { host } from "../../sys/host.ts"
import { bytes, type Kind } from "../attribute.ts"

/** NFTNL_UDATA_*_COMMENT, the same number for tables, chains and rules: `nft` shows it as `comment "..."`. */
const COMMENT = 0

/** A number that no other program shows, for the note of these plugins. */
export const NOTE = 0xc1

/** NFT_USERDATA_MAXLEN */
const MAX_BYTES = 256

/** The bytes a comment may have: `nft` refuses to write longer ones (NFTNL_UDATA_COMMENT_MAXLEN). */
export const MAX_COMMENT_BYTES = 128

/**
 * Returns user data with the comment and a note that no other program shows: of each its type, length, text and NUL. Throws RangeError if
 * it is too long.
 */
export function commentData(comment: string | undefined, note?: string): Uint8Array {
  const texts = [entry(COMMENT, comment), entry(NOTE, note)] as const
  const data = new Uint8Array(texts[0].length + texts[1].length)
  data.set(texts[0])
  data.set(texts[1], texts[0].length)
  if (data.length > MAX_BYTES) throw new RangeError(`user data of ${data.length} bytes`)
  return data
}

/** Returns commentData(), or undefined if there is neither comment nor note. */
export function dataOf(comment: string | undefined, note?: string): Uint8Array | undefined {
  return comment === undefined && note === undefined ? undefined : commentData(comment, note)
}

function entry(type: number, content: string | undefined): Uint8Array {
  if (content === undefined) return new Uint8Array()
  const text = host.encode(content)
  if (text.length > MAX_COMMENT_BYTES) throw new RangeError(`comment of ${text.length} bytes`)
  const data = new Uint8Array(text.length + 3)
  data[0] = type
  data[1] = text.length + 1
  data.set(text, 2)
  return data
}

/** Returns the comment in user data of any program, or undefined if there is none. */
export function commentIn(data: Uint8Array): string | undefined {
  return textIn(data, COMMENT)
}

/** Returns a test for user data whose comment begins with this text. It does not decode others, which are most. */
export function commentTest(text: string): (data: Uint8Array) => boolean {
  const wanted = host.encode(text)
  return (data) => {
    if (data[0] !== COMMENT) return commentIn(data)?.startsWith(text) === true
    for (let at = 0; at < wanted.length; at++) if (data[at + 2] !== wanted[at]) return false
    return wanted.length < (data[1] ?? 0)
  }
}

/** Returns a test for user data that has no note, or one that begins with this text. It does not decode others, which are most. */
export function noteTest(text: string): (data: Uint8Array) => boolean {
  const wanted = host.encode(text)
  return (data) => {
    if (data[0] !== NOTE) return (noteIn(data) ?? text).startsWith(text)
    for (let at = wanted.length - 1; at >= 0; at--) if (data[at + 2] !== wanted[at]) return false
    return wanted.length < (data[1] ?? 0)
  }
}

/** Returns the note that commentData() wrote, or undefined if there is none. */
export function noteIn(data: Uint8Array): string | undefined {
  return textIn(data, NOTE)
}

/** NFTA_*_USERDATA: printed as comment and note, or as bytes if another program wrote it. */
export const userData: Kind<Uint8Array> = {
  ...bytes,
  print(data) {
    const [comment, note] = [commentIn(data), noteIn(data)]
    return comment === undefined && note === undefined ? data : { comment, note }
  },
}

function textIn(data: Uint8Array, type: number): string | undefined {
  for (let at = 0; at + 2 <= data.length; ) {
    const length = data[at + 1] ?? 0
    const value = data.subarray(at + 2, at + 2 + length)
    if (data[at] === type && value.length === length) {
      const end = value.indexOf(0)
      return host.decode(end < 0 ? value : value.subarray(0, end))
    }
    at += 2 + length
  }
  return undefined
}
