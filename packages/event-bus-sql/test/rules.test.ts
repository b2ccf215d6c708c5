import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Promtool from "../../../test/servers/Promtool.ts"

const rules = join(import.meta.dirname, "../alerts.rules.yml")

const healthy = {
  published_total: "1+1x30",
  lag_events: "3x30",
  lag_seconds: "1x30",
  dead_letters: "0x30",
  held: "0x30",
  owners: "1x30"
}

/** Prometheus's verdict on whether this alert alone fires after twenty minutes of these series. */
const verdict = (alert: string | undefined, series: Readonly<Record<string, string>>) =>
  Promtool.verdict({
    rules,
    alert,
    after: "20m",
    // Two processes say the same.
    series: ["a", "b"].flatMap((instance) =>
      Object.entries(series).map(([name, values]) => ({
        series: `event_outbox_${name}{outbox="Shop",${
          name === "published_total" ? `kind="OrderPlaced"` : `consumer="mailer"`
        },instance="${instance}"}`,
        values
      }))
    )
  })

const stopped = Object.fromEntries(Object.keys(healthy).map((name) => [name, "0x2 stale"]))

const situations: ReadonlyArray<readonly [string, string | undefined, Readonly<Record<string, string>>]> = [
  ["nothing while all is well", undefined, healthy],
  ["of a consumer that is late", "DurableEventsLate", { ...healthy, lag_seconds: "1+60x30" }],
  ["of dead letters", "DurableEventsDead", { ...healthy, dead_letters: "0x10 1x20" }],
  ["of what waits behind a failure", "DurableEventsHeld", { ...healthy, held: "5000x30" }],
  ["of a consumer that nobody serves", "DurableEventsUnserved", { ...healthy, owners: "0x30" }],
  ["when no process can say how far behind consumers are", "DurableEventsUnknown", {
    ...stopped,
    published_total: healthy.published_total
  }]
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

it("the example rules ask for metrics that there are", () => {
  const source = readFileSync(join(import.meta.dirname, "../src/internal/metrics.ts"), "utf8")
  const asked = new Set(readFileSync(rules, "utf8").match(/event_outbox_\w+/g))
  assert.isAtLeast(asked.size, 5)
  for (const name of asked) assert.include(source, `"${name}"`)
})
