import { testsInGuest } from "../../systems/vm/suite.ts"

await testsInGuest(import.meta.url)
