/** The negative errno that an error of Node.js's own modules carries. Throws what is none. */
export function errnoOf(error: unknown): number {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") return error.errno
  throw error
}
