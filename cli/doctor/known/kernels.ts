import type { Survey } from "../../survey/survey.ts"

/** Releases of Linux with a fault that hits pods, by the numbers that kernel.org gives them: distributions that mend have others. */
interface KernelFault {
  readonly releases: RegExp
  readonly problem: string
  /** The releases that have it no more. */
  readonly mended: string
  readonly report: string
  readonly hits: (survey: Survey) => boolean
}

export const kernelFaults: readonly KernelFault[] = [
  {
    releases: /^(?:6\.6\.5[78]|6\.11\.[45])(?![\d.])/,
    problem: "it knows no MARK for IPv6: ip6tables fails, and with it kube-proxy and host ports by iptables",
    mended: "6.6.59, 6.11.6",
    report: "tailscale/tailscale#13863",
    hits: ({ attached }) =>
      attached.some(({ result }) => result.ips.some(({ address }) => address.address.family === 6)),
  },
]
