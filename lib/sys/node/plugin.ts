/** Runs the plugin named by the first argument from its sources: `npm run -s plugin -- bridge`. See CONTRIBUTING.md. */

import "./register.ts"
import { main } from "../../../plugins/main.ts"

main()
