import { expect, test } from "vitest"
import { type Rows, rowOf } from "../conformance/bench/rows.ts"
import { covered, waitsForRtnl } from "../conformance/bench/rtnl.ts"
import { updated } from "../conformance/bench/update.ts"

const PAGE = `# Speed

| medians | Go v1.9.1 | 90 % | cni-ts | 90 % | cni-ts / Go | kernel alone |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| VERSION, ms | 2.2 | 2.8 | 0.9 | 1.0 | 0.40 | 0.9 |
| chain ADD, ms (Go 5 times) | 2.2 | 2.8 | 0.9 | 1.0 | 0.40 | |
| DEL, ms | 2.2 | 2.8 | 0.9 | 1.0 | 0.40 | |

| medians of 3 | Go, ms | cni-ts, ms | cni-ts, MB |
| --- | ---: | ---: | ---: |
| host-local GC | | 3.1 | 2.5 |
`

test("rows that were measured are written anew, and all else stays", () => {
  const rows: Rows = new Map()
  rowOf(rows, "VERSION, ms").reference.push(3, 3)
  rowOf(rows, "VERSION, ms").ours.push(1.5, 1.5)
  rowOf(rows, "VERSION, ms").floor.push(1)
  rowOf(rows, "chain ADD, ms").reference.push(200)
  rowOf(rows, "chain ADD, ms").ours.push(20, 20)
  rowOf(rows, "host-local GC, ms").ours.push(4)
  rowOf(rows, "host-local GC, peak MB").ours.push(30)
  rowOf(rows, "new, ms").ours.push(4)
  const after = PAGE.replace("| 2.2 | 2.8 | 0.9 | 1.0 | 0.40 | 0.9 |", "| 3.0 | 3.0 | 1.5 | 1.5 | 0.50 | 1.0 |")
    .replace("(Go 5 times) | 2.2 | 2.8 | 0.9 | 1.0 | 0.40 | |", "(Go 1 times) | 200 | 200 | 20.0 | 20.0 | 0.10 | |")
    .replace("| | 3.1 | 2.5 |", "| | 4.0 | 30.0 |")
  expect(updated(PAGE, rows)).toBe(after)
})

test("waits for the RTNL lock are told from others in the kernel's trace, and counted once if several wait", () => {
  const trace = `# tracer: nop
          bridge-11    [000] d..2.   10.000000: contention_begin: 00000000aa (flags=MUTEX)
          bridge-11    [000] d..2.   10.000001: <stack trace>
 => trace_event_raw_event_contention_begin
 => __mutex_lock.constprop.0
 => rtnl_newlink
    kworker/u8:2-12    [001] d..2.   10.100000: contention_begin: 00000000bb (flags=MUTEX)
    kworker/u8:2-12    [001] d..2.   10.100001: <stack trace>
 => exp_funnel_lock
          bridge-13    [001] d..2.   10.200000: contention_begin: 00000000aa (flags=MUTEX)
          bridge-11    [000] d..2.   10.300000: contention_end: 00000000aa (ret=0)
          bridge-13    [000] d..2.   10.500000: contention_end: 00000000aa (ret=0)
    kworker/u8:2-12    [001] d..2.   10.900000: contention_end: 00000000bb (ret=0)
          bridge-11    [000] d..2.   11.000000: contention_begin: 00000000aa (flags=MUTEX)
          bridge-11    [000] d..2.   11.250000: contention_end: 00000000aa (ret=0)
`
  expect(waitsForRtnl(trace)).toHaveLength(3)
  expect(covered(waitsForRtnl(trace))).toBeCloseTo(0.75, 6)
})
