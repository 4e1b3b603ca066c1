/** Returns the negative errno of an error of Node.js's modules. Throws other errors. */
export function errnoOf(error: unknown): number {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") return error.errno
  throw error
}
