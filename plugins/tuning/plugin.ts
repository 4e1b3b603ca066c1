import { chainedPlugin } from "../../lib/attachment/chained-plugin.ts"
import type { Failures } from "../../lib/cni/failures.ts"
import type { Call } from "../../lib/cni/plugin.ts"
import type { Survivors } from "../../lib/cni/valid-attachments.ts"
import { unlessMissing } from "../../lib/sys/file.ts"
import { fileStatus, S_IFDIR } from "../../lib/sys/file-status.ts"
import { writeObstacle } from "../../lib/sys/file-system.ts"
import { SystemError } from "../../lib/sys/system-error.ts"
import { add } from "./add.ts"
import { listStale, removeStale } from "./backup.ts"
import { check } from "./check.ts"
import { readDataDir, readTuningConfig, type TuningConfig } from "./config.ts"
import { isSamePod, restore, takeBack } from "./restore.ts"
import { refuseUnlisted } from "./sysctl.ts"

/** Changes settings of the pod's network and of its interface. Chained after the plugin that makes the interface. */
export const tuning = chainedPlugin({
  name: "tuning",
  behind: "bridge, ptp, macvlan or the like",
  readConfig: readTuningConfig,
  isIdle: ({ sysctls, settings }) => sysctls.length === 0 && Object.keys(settings).length === 0,
  add,
  check,
  status: (_host, config) => status(config),
  remove: (_host, _attachment, call) => restore(call, isSamePod),
  collect,
  takeBack: (_host, _attachment, call) => takeBack(call),
})

function status({ sysctls, settings, dataDir }: TuningConfig): void {
  refuseUnlisted(sysctls)
  if (Object.keys(settings).length === 0) return
  const present = unlessMissing(() => fileStatus(dataDir))
  if (!present) return
  const obstacle = present.type === S_IFDIR ? writeObstacle(dataDir) : "ENOTDIR"
  if (obstacle) throw new SystemError(obstacle, `write to ${dataDir}`)
}

/** Removes what was kept for pods that are gone. What the Go plugin kept does not say of which network it is, and stays. */
function collect(_host: unknown, { config, log }: Call, survivors: Survivors, failures: Failures): void {
  const { attachments, reason } = survivors
  if (!attachments) return // a file does not say if its pod lives
  const dataDir = readDataDir(config)
  failures.capture(() => {
    for (const name of listStale(dataDir, config.name, attachments)) {
      failures.capture(() => {
        removeStale(dataDir, config.name, name)
        log.removed(`backup ${JSON.stringify(name)}`, reason)
      })
    }
  })
}
