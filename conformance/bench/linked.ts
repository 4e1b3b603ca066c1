import { output } from "../lab/run.ts"
import { LinkedPod } from "./bandwidth.ts"
import { type Rows, record } from "./rows.ts"
import { COMMANDS, type Options, repeat, turn } from "./runs.ts"

/** A plugin that is called about an interface which pods have already. */
export interface OnLink {
  /** The configuration, which names the plugin, and has the result of the one before. */
  readonly config: (pod: LinkedPod) => { readonly type: string }
  readonly connect?: () => LinkedPod
}

/** Measures ADD, CHECK and DEL of the plugin. */
export function measureOnLink(
  rows: Rows,
  { dir, runs }: Options,
  { config, connect = () => new LinkedPod() }: OnLink,
): void {
  const both = (["reference", "ours"] as const).map((name) => [name, `${dir}/${name}`] as const)
  repeat(rows, runs, (target, run) => {
    const pods = { reference: connect(), ours: connect() }
    for (const command of COMMANDS) {
      for (const [side, bin] of turn(both, run)) {
        const asked = config(pods[side])
        record(target, `${asked.type} ${command}`, side, pods[side].call(bin, command, asked))
      }
    }
    for (const { veth } of Object.values(pods)) output(["ip", "link", "del", veth])
  })
}
