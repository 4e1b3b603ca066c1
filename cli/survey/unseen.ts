/** Says that so many things could not be seen, in a line. */
export function countUnseen(count: number): string {
  return `${count} ${count === 1 ? "thing" : "things"} could not be seen: cni-ts doctor names ${count === 1 ? "it" : "them"}`
}
