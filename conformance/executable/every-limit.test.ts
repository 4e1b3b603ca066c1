import { PLUGINS } from "./every-plugin.ts"
import { testUnderLimits } from "./limited.ts"

testUnderLimits(PLUGINS)
