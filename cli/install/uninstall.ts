import { Unusable } from "../command.ts"
import { PluginDirectory } from "./plugin-directory.ts"

/** Puts back what bore the names before the first install. Throws Unusable if nothing of ours is in the directory; SystemError. */
export function uninstall(path: string): void {
  using directory = new PluginDirectory(path)
  if (!directory.isInstalled) throw new Unusable(`cni-ts is not installed in ${path}`)
  directory.restoreAllBut([])
  directory.restoreKept()
  directory.sync()
  directory.forget()
}
