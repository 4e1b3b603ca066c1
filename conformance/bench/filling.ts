/** The pods that a node has, with the one that is measured. */
export const FILLINGS = [10, 250, 1000] as const

/** Returns how the rows of that many pods are called, without the command. */
export function rowOfFilling(filling: number): string {
  return `chain as the ${filling.toLocaleString("en")}th pod`
}
