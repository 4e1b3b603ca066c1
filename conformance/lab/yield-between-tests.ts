import { afterEach } from "vitest"

/** Tests here wait for programs without yielding: between them vitest has to hear from its own process, or it gives up. */
afterEach(() => new Promise<void>((done) => setImmediate(done)))
