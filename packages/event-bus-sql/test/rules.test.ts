import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const rules = join(import.meta.dirname, "../alerts.rules.yml")

const isMissing = spawnSync("promtool", ["--version"]).error !== undefined
const isSkipped = isMissing && (process.env["CI"] ?? "") === ""
if (isSkipped) {
  console.log(
    "promtool is not installed: tests of the alerting rules are skipped (it is a part of Debian's prometheus)"
  )
}

/** What Prometheus says of the rules, or of a test of them, with its exit status. */
const promtool = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync("promtool", args, { encoding: "utf8" })
  return `${status} ${stdout}${stderr}`
}

const healthy = {
  published_total: "1+1x30",
  lag_events: "3x30",
  lag_seconds: "1x30",
  dead_letters: "0x30",
  held: "0x30",
  owners: "1x30"
}

/** Prometheus's verdict on whether this alert alone fires after twenty minutes of these series. */
const verdict = (alert: string | undefined, series: Readonly<Record<string, string>>) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), "rules-"))
  const file = join(folder.path, "test.yml")
  writeFileSync(
    file,
    JSON.stringify({
      rule_files: [rules],
      tests: [{
        interval: "1m",
        // Two processes say the same.
        input_series: ["a", "b"].flatMap((instance) =>
          Object.entries(series).map(([name, values]) => ({
            series: `event_outbox_${name}{outbox="Shop",${
              name === "published_total" ? `kind="OrderPlaced"` : `consumer="mailer"`
            },instance="${instance}"}`,
            values
          }))
        ),
        promql_expr_test: [{
          expr: `count by (alertname) (ALERTS{alertstate="firing"})`,
          eval_time: "20m",
          exp_samples: alert === undefined ? [] : [{ labels: `{alertname="${alert}"}`, value: 1 }]
        }]
      }]
    })
  )
  return promtool("test", "rules", file)
}

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

describe.skipIf(isSkipped)("the example rules", () => {
  it("are rules of Prometheus", () => {
    assert.match(promtool("check", "rules", rules), /^0 [\s\S]*SUCCESS: 5 rules found/)
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
