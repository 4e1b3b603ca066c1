import { families } from "../../../lib/ip/address.ts"
import { legacyTables } from "../../../lib/netlink/netfilter/xtables/legacy.ts"
import { readText } from "../../../lib/sys/file.ts"
import { findExecutable } from "../../../lib/sys/process.ts"
import { countLegacyRules } from "../../survey/legacy-rules.ts"
import type { Survey } from "../../survey/survey.ts"
import { isOfIptables } from "../filter/describe.ts"
import type { Check, Finding } from "../finding.ts"
import { kernelFaults } from "../known/kernels.ts"
import { troublesIn } from "../known/log.ts"
import { managedLinks, managers } from "../known/managers.ts"
import { brokenMemories } from "../known/memories.ts"
import { mendedIn, pluginFaults, programName, runtimeFaults } from "../known/software.ts"

/** Finds faults of the kernel, of plugins and of programs beside them that others have reported, if they hit this node. */
export const checkKnown: Check = function* (survey: Survey, subject): Generator<Finding> {
  if (subject) return
  yield* memories(survey)
  yield* twoFilters(survey)
  yield* managed(survey)
  yield* faultyPlugins(survey)
  yield* faultyRuntimes(survey)
  yield* faultyKernel(survey)
  yield* troublesIn(survey.kernelLog)
}

function* memories(survey: Survey): Generator<Finding> {
  for (const { path, size } of brokenMemories(survey)) {
    yield {
      kind: "broken-memory",
      about: path,
      problem: "what the runtime remembers of this attachment is cut off: before containerd 2.0 its pod does not end",
      evidence: [`stat -c %s ${path}: ${size}`, "it is no JSON"],
      cause: "libcni does not wait for the disk: a power cut leaves such files (containernetworking/cni#1055)",
      mend: `rm ${path}; what its DEL then leaves: cni-ts gc`,
    }
  }
}

function* twoFilters(survey: Survey): Generator<Finding> {
  for (const family of families) {
    const command = family === 4 ? "iptables" : "ip6tables"
    for (const table of survey.attempt(() => legacyTables(family)) ?? []) {
      const legacy = survey.attempt(() => countLegacyRules(family, table)) ?? 0
      if (legacy <= 0) continue
      const chains = survey.ruleset?.baseChains.filter(
        (chain) =>
          isOfIptables(chain) && chain.table.name === table && chain.table.family === (family === 4 ? "ip" : "ip6"),
      )
      const used = chains?.find((chain) => (survey.ruleset?.rulesOf(chain).length ?? 0) > 0)
      if (!used) continue
      yield {
        kind: "two-iptables",
        about: `${command} -t ${table}`,
        problem: "iptables-legacy and iptables-nft both have rules: packets meet both, who looks sees one half",
        evidence: [
          `${command}-legacy-save -t ${table}: ${legacy} beside the policies`,
          `${command}-nft -t ${table} -S ${used.name}: ${survey.ruleset?.rulesOf(used).length} beside the policy`,
        ],
        cause:
          "programs that bring an iptables of their own, or an upgrade that left rules (kubernetes/kubernetes#109811)",
        mend: `see ${command}-legacy-save -t ${table}; if nobody needs it: ${command}-legacy -t ${table} -F`,
      }
    }
  }
}

/** As many as an operator reads. */
const SHOWN = 3

function* managed(survey: Survey): Generator<Finding> {
  for (const manager of managers) {
    const links = managedLinks(survey, manager)
    if (links.length === 0) continue
    const more = links.length > SHOWN ? [`and ${links.length - SHOWN} more`] : []
    yield {
      kind: "managed-link",
      about: manager.name,
      problem: "it configures interfaces of pods: what plugins gave them, addresses too, it may take away",
      evidence: [...links.slice(0, SHOWN).map(({ link, words }) => `${link.name}: ${words}`), ...more],
      cause: `its configuration does not leave them out (${manager.report})`,
      mend: manager.mend,
    }
  }
}

function* faultyPlugins(survey: Survey): Generator<Finding> {
  const seen = new Set<string>()
  for (const { list, path: file } of survey.networks) {
    for (const plugin of list?.plugins ?? []) {
      const path = survey.attempt(() => survey.findPlugin(plugin.type))
      const build = path === undefined ? undefined : survey.goBuild(path)
      if (!list || !build) continue
      for (const fault of pluginFaults) {
        const mended = mendedIn(fault, build)
        const key = `${path} ${fault.report}`
        if (mended === undefined || seen.has(key) || !fault.hits(plugin, list, survey)) continue
        seen.add(key)
        yield {
          kind: "known-plugin-fault",
          about: programName(build),
          problem: fault.problem,
          evidence: [`go version -m ${path}: ${programName(build)}`, `${file} names it`],
          cause: `a fault of that version: ${fault.report}`,
          mend: `${mended} or later, or cni-ts install`,
        }
      }
    }
  }
}

function* faultyRuntimes(survey: Survey): Generator<Finding> {
  for (const [name, faults] of Object.entries(runtimeFaults)) {
    const path = survey.attempt(() => findExecutable(name, survey.places.programs))
    const build = path === undefined ? undefined : survey.goBuild(path)
    if (!build) continue
    for (const fault of faults) {
      const mended = mendedIn(fault, build)
      if (mended === undefined || !fault.hits(survey)) continue
      yield {
        kind: "known-runtime-fault",
        about: programName(build),
        problem: fault.problem,
        evidence: [`go version -m ${path}: ${programName(build)}`],
        cause: `a fault of that version: ${fault.report}`,
        mend: `${name} ${mended} or later`,
      }
    }
  }
}

function* faultyKernel(survey: Survey): Generator<Finding> {
  const release = survey.attempt(() => readText("/proc/sys/kernel/osrelease", 256).trim()) ?? ""
  for (const { releases, problem, mended, report, hits } of kernelFaults) {
    if (!releases.test(release) || !hits(survey)) continue
    yield {
      kind: "known-kernel-fault",
      about: `Linux ${release}`,
      problem,
      evidence: [`uname -r: ${release}`],
      cause: `a fault of that release: ${report}`,
      mend: `another kernel: ${mended} or later`,
    }
  }
}
