import { expect } from "vitest"
import type { View } from "../lab/namespace.ts"
import { output } from "../lab/run.ts"
import { type Diagnosis, OperatedNode } from "./operated-node.ts"

/** A node whose pods doctor has ask, and what makes it whole again after each test. */
export class AskedNode extends OperatedNode {
  readonly #mends: (() => void)[] = []

  /** Waits until the bridge answers as it does from then on. */
  settle(): void {
    // The Go plugin's bridge forwards no IPv6 packet while its link-local address is tentative.
    output([
      "timeout",
      "10",
      ...this.inside(["sh", "-c", "while ip -6 addr show tentative | grep -q inet6; do sleep 0.05; done"]),
    ])
    // A bridge whose MTU somebody has set keeps it, whatever its ports' are.
    for (const mtu of ["1499", "1500"]) this.ip("link", "set", "cni0", "mtu", mtu)
  }

  afterwards(mend: () => void): void {
    this.#mends.push(mend)
  }

  /** Changes a setting until the test is over. */
  set(view: View, name: string, value: string): void {
    const before = view.sysctl(name)
    view.sysctl(name, value)
    this.afterwards(() => view.sysctl(name, before))
  }

  /** Adds a table with one chain and one rule, until the test is over. */
  filter(family: string, hook: string, rule: string): void {
    this.load(family, `chain drops {\n type filter hook ${hook} priority 0\n ${rule} drop\n }`)
  }

  /** Adds a table, until the test is over. */
  load(family: string, content: string): void {
    output(this.inside(["nft", "-f", "-"]), { stdin: `table ${family} test {\n${content}\n}` })
    this.afterwards(() => output(this.inside(["nft", "delete", "table", family, "test"])))
  }

  mend(): void {
    for (const mend of this.#mends.splice(0).reverse()) mend()
  }

  /** The kernel's table of neighbours is one for all namespaces: while others fill it, what has to be asked cannot be seen. */
  override doctorAs(...args: Parameters<OperatedNode["doctorAs"]>): Diagnosis {
    for (let tries = 0; ; tries++) {
      const diagnosis = super.doctorAs(...args)
      const isFull = diagnosis.unseen.some((sentence) => /^cannot send to .*: (ENOBUFS|EINVAL)/.test(sentence))
      if (!isFull || tries === 20) return diagnosis
      output(["sleep", "1"])
    }
  }

  /** Returns kind and subject of each finding. */
  kinds(...args: string[]): string[][] {
    const { findings, unseen } = this.doctor(...args)
    expect(unseen).toEqual([])
    return findings.map(({ kind, about }) => [kind, about])
  }

  /** Expects exactly one finding, and returns its evidence, cause and mend. */
  finding(kind: string, about: string, ...args: string[]): string {
    const { findings, unseen, exitCode } = this.doctor(...args)
    expect([unseen, findings.map((finding) => [finding.kind, finding.about]), exitCode]).toEqual([
      [],
      [[kind, about]],
      1,
    ])
    return [...(findings[0]?.evidence ?? []), findings[0]?.cause, findings[0]?.mend].join("\n")
  }
}
