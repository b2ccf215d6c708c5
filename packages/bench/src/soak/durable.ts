/**
 * The durable lane for long: its tests of killed processes and of gaps, with more of both, and the figures that they print.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../../..")

/** Runs the tests, and returns their exit code. */
export const soakDurable = (options: {
  readonly kills: number
  readonly events: number
  readonly seed: string
}): Promise<number> =>
  new Promise((resolve, reject) => {
    const vitest = join(root, "node_modules/vitest/vitest.mjs")
    const tests = ["--project", "event-bus-sql", "--silent=false", "kill/kill.test.ts", "gaps.test.ts"]
    spawn(process.execPath, [vitest, "run", "--config", "vitest.workspace.ts", ...tests], {
      cwd: root,
      stdio: "inherit",
      env: {
        ...process.env,
        KILLS: String(options.kills),
        GAP_EVENTS: String(options.events),
        KILL_SEED: options.seed
      }
    }).on("error", reject).on("exit", (code) => resolve(code ?? 1))
  })
