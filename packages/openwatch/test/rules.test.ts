import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Promtool from "../../../test/servers/Promtool.ts"

const root = join(import.meta.dirname, "..")
const rules = join(root, "alerts.rules.yml")

const healthy: Readonly<Record<string, string>> = {
  [`up{job="openwatch",instance="a"}`]: "1x60",
  [`openwatch_ready{job="openwatch",instance="a",part="database"}`]: "1x60",
  [`openwatch_deliveries_pending{job="openwatch",instance="a",channel="pager"}`]: "0x60",
  [`openwatch_hosts{job="openwatch",instance="a",state="reachable"}`]: "10x60",
  [`openwatch_hosts{job="openwatch",instance="a",state="unreachable"}`]: "2x60",
  [`openwatch_hosts{job="openwatch",instance="a",state="unjudged"}`]: "0x60",
  [`openwatch_scan_age_seconds{job="openwatch",instance="a",host="web",benchmark="debian",profile="cis"}`]: "0+60x60"
}

/** The healthy series, of which those with these beginnings have other values, or are not there. */
const but = (changes: Readonly<Record<string, string | undefined>>) =>
  Object.fromEntries(
    Object.entries(healthy).flatMap(([name, values]) => {
      const change = Object.keys(changes).find((beginning) => name.startsWith(beginning))
      const value = change === undefined ? values : changes[change]
      return value === undefined ? [] : [[name, value]]
    })
  )

/** Prometheus's verdict on whether this alert alone fires after fifty minutes of these series. */
const verdict = (alert: string | undefined, series: Readonly<Record<string, string>>) =>
  Promtool.verdict({
    rules,
    alert,
    after: "50m",
    series: Object.entries(series).map(([series, values]) => ({ series, values }))
  })

const situations: ReadonlyArray<readonly [string, string | undefined, Readonly<Record<string, string>>]> = [
  ["nothing while all is well", undefined, healthy],
  ["when OpenWatch does not answer", "OpenWatchDown", but({ up: "0x60", openwatch: undefined })],
  ["when nobody looks at it", "OpenWatchDown", {}],
  ["when a part of it does not work", "OpenWatchNotReady", but({ openwatch_ready: "0x60" })],
  ["of alerts that do not arrive", "OpenWatchDeliveriesPending", but({ openwatch_deliveries: "0x10 3x50" })],
  ["nothing of alerts that were on their way for a while", undefined, but({ openwatch_deliveries: "3x20 0x40" })],
  [
    "of many hosts that are unreachable",
    "OpenWatchFleetUnreachable",
    but({ [`openwatch_hosts{job="openwatch",instance="a",state="unreachable"}`]: "4x60" })
  ],
  ["of a host that is not scanned any more", "OpenWatchScansStopped", but({ openwatch_scan: "691000+60x60" })]
]

describe.skipIf(Promtool.isSkipped)("the example rules", () => {
  it("are rules of Prometheus", () => {
    assert.match(Promtool.check(rules), /^0 [\s\S]*SUCCESS: 5 rules found/)
  })

  for (const [situation, alert, series] of situations) {
    it(`tell ${situation}`, () => {
      assert.match(verdict(alert, series), /^0 [\s\S]*SUCCESS/)
    })
  }
})

interface Dashboard {
  readonly panels: ReadonlyArray<{
    readonly title: string
    readonly targets?: ReadonlyArray<{ readonly expr: string }>
  }>
  readonly templating: { readonly list: ReadonlyArray<{ readonly definition?: string }> }
}

const dashboard = JSON.parse(readFileSync(join(root, "grafana-dashboard.json"), "utf8")) as Dashboard

/** What the panels ask, with something in the place of Grafana's own variables. */
const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets).map(({ expr }) =>
  expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h").replaceAll(/\$\w+/g, ".*")
)

describe.skipIf(Promtool.isSkipped)("the dashboard", () => {
  it("asks what Prometheus understands", () => {
    assert.isAtLeast(expressions.length, 8)
    const rules = expressions.map((expr, n) => ({ record: `panel:${n}`, expr }))
    assert.match(
      Promtool.check({ groups: [{ name: "dashboard", rules }] }),
      new RegExp(`^0 [\\s\\S]*SUCCESS: ${expressions.length} rules found`)
    )
  })
})

it("rules and dashboard ask for metrics that there are", () => {
  const sources = globSync("{openwatch,event-bus-sql,event-bus}/src/**/*.ts", { cwd: join(root, "..") })
    .map((file) => readFileSync(join(root, "..", file), "utf8")).join("\n")
  const texts = [readFileSync(rules, "utf8"), ...expressions]
  const asked = new Set(texts.flatMap((text) => text.match(/\b(?:openwatch|event_outbox|event_bus)_\w+/g) ?? []))
  assert.isAtLeast(asked.size, 8)
  for (const name of asked) assert.include(sources, `"${name.replace(/_(?:bucket|sum|count)$/, "")}"`)
})
