/** NFTNL_UDATA_*_COMMENT, the same number for tables, chains and rules: what `nft` keeps in user data and shows as `comment "..."`. */
const COMMENT = 0

/** The bytes a comment may have: `nft` refuses to write longer ones (NFTNL_UDATA_COMMENT_MAXLEN). */
export const MAX_COMMENT_BYTES = 128

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** User data that holds the comment: type, length, the text and its NUL. Throws RangeError where it is too long. */
export function commentData(comment: string): Uint8Array {
  const text = encoder.encode(comment)
  if (text.length > MAX_COMMENT_BYTES) throw new RangeError(`comment of ${text.length} bytes`)
  const data = new Uint8Array(text.length + 3)
  data[0] = COMMENT
  data[1] = text.length + 1
  data.set(text, 2)
  return data
}

/** The comment in user data of any program, or undefined if there is none. */
export function commentIn(data: Uint8Array): string | undefined {
  for (let at = 0; at + 2 <= data.length; ) {
    const length = data[at + 1] ?? 0
    const value = data.subarray(at + 2, at + 2 + length)
    if (data[at] === COMMENT && value.length === length) {
      const end = value.indexOf(0)
      return decoder.decode(end < 0 ? value : value.subarray(0, end))
    }
    at += 2 + length
  }
  return undefined
}
