/**
 * Prometheus's own checks of rules. Where it is not installed their tests are skipped, with a line that says so; with `CI` set
 * they run and fail.
 */
import { spawnSync } from "node:child_process"
import { mkdtempDisposableSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const isMissing = spawnSync("promtool", ["--version"]).error !== undefined

/** Whether tests have to do without it. */
export const isSkipped = isMissing && (process.env["CI"] ?? "") === ""
if (isSkipped) {
  // oxlint-disable-next-line no-console
  console.log(
    "promtool is not installed: tests of the alerting rules are skipped (it is a part of Debian's prometheus)"
  )
}

const promtool = (...args: ReadonlyArray<string>): string => {
  const { error, status, stderr, stdout } = spawnSync("promtool", args, { encoding: "utf8" })
  if (error !== undefined) throw error
  return `${status} ${stdout}${stderr}`
}

const onFile = (what: "check" | "test", content: object): string => {
  using folder = mkdtempDisposableSync(join(tmpdir(), "rules-"))
  const file = join(folder.path, "rules.yml")
  writeFileSync(file, JSON.stringify(content))
  return promtool(what, "rules", file)
}

/** What Prometheus says of a file of rules, or of rules, with its exit status. */
export const check = (rules: string | object): string =>
  typeof rules === "string" ? promtool("check", "rules", rules) : onFile("check", rules)

/** Prometheus's verdict on whether this alert alone, or none, fires after so long of these series, each with its values. */
export const verdict = (options: {
  /** The file of the rules. */
  readonly rules: string
  readonly alert: string | undefined
  readonly after: string
  readonly series: ReadonlyArray<{ readonly series: string; readonly values: string }>
}): string =>
  onFile("test", {
    rule_files: [options.rules],
    tests: [{
      interval: "1m",
      input_series: options.series,
      promql_expr_test: [{
        expr: `count by (alertname) (ALERTS{alertstate="firing"})`,
        eval_time: options.after,
        exp_samples: options.alert === undefined ? [] : [{ labels: `{alertname="${options.alert}"}`, value: 1 }]
      }]
    }]
  })
