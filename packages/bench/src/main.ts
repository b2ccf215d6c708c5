/**
 * Measures the bus beside its peers: see `usage`.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { cpus, totalmem } from "node:os"
import { parseArgs } from "node:util"
import { full, quick, type Table, type Workload } from "./measurements.ts"
import { tableReport, targetsReport } from "./report.ts"
import { median } from "./rounds.ts"
import { summaryOf } from "./summary.ts"
import { isMet, targetsOf } from "./targets.ts"
import { workloads } from "./workloads/index.ts"

const usage = `Usage: npm run bench -- [options]

  --quick        less of everything: takes two to three minutes
  --once         each workload runs once, not three times: a third of the time
  --filter TEXT  only the workloads whose name contains TEXT:
                 ${workloads.map(({ name }) => name).join(", ")}
  --json FILE    also write all numbers to FILE
  --check        exit with 1 if a target is missed
  --help`

const fail = (message: string): never => {
  console.error(`${message}\n\n${usage}`)
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        once: { type: "boolean", default: false },
        filter: { type: "string", default: "" },
        json: { type: "string" },
        check: { type: "boolean", default: false },
        help: { type: "boolean", default: false }
      }
    }).values
  } catch (error) {
    return fail((error as Error).message)
  }
}

/** Runs a workload in a process of its own: what others left behind, on the heap or in compiled code, is not there. */
const run = async (workload: Workload, isQuick: boolean): Promise<ReadonlyArray<Table>> => {
  const child = fork(new URL("run.ts", import.meta.url), [workload.name, isQuick ? "quick" : "full"], {
    execArgv: ["--expose-gc", "--conditions=@openwatch/source", "--disable-warning=ExperimentalWarning"],
    serialization: "advanced"
  })
  let tables: ReadonlyArray<Table> | undefined
  child.on("message", (message) => {
    tables = message as ReadonlyArray<Table>
  })
  const [code, signal] = await once(child, "exit")
  if (code !== 0 || tables === undefined) {
    throw new Error(`The workload ${workload.name} ended with ${signal ?? `exit code ${code}`}`)
  }
  return tables
}

/** The tables of several runs of one workload as one: the median of each value. */
const combine = (runs: ReadonlyArray<ReadonlyArray<Table>>): ReadonlyArray<Table> => {
  const medianAt = (t: number, r: number, v: number): number | undefined => {
    const values = runs.map((tables) => tables[t]!.rows[r]!.values[v]).filter((value) => value !== undefined)
    return values.length === 0 ? undefined : median(values)
  }
  const combined: Array<Table> = []
  for (const [t, table] of runs[0]!.entries()) {
    const rows = []
    for (const [r, row] of table.rows.entries()) {
      rows.push({ ...row, values: row.values.map((_, v) => medianAt(t, r, v)) })
    }
    combined.push({ ...table, rows })
  }
  return combined
}

const machine = () => {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model.trim() ?? "unknown",
    cores: cpus().length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    effect: (createRequire(import.meta.url)("effect/package.json") as { readonly version: string }).version
  }
}

const { check, filter, help, json, once: isOnce, quick: isQuick } = parse()
if (help) {
  console.log(usage)
  process.exit(0)
}
const selected = workloads.filter(({ name }) => name.includes(filter))
if (selected.length === 0) fail(`--filter: no workload has ${JSON.stringify(filter)} in its name`)

if (json !== undefined) {
  // Not after all the measuring.
  await writeFile(json, "").catch((error: unknown) => fail(`--json: cannot write ${json}: ${(error as Error).message}`))
}

const about = { date: new Date().toISOString(), command: `npm run bench -- ${process.argv.slice(2).join(" ")}`.trim() }
const on = machine()
console.log(
  `${about.date}, ${on.cpu}, ${on.cores} cores, ${on.memory}, Node ${on.node}, effect ${on.effect}\n${about.command}\n`
)
const tables: Array<Table> = []
for (const workload of selected) {
  const runs = []
  const processes = isOnce ? 1 : (isQuick ? quick : full).processes
  for (let i = 0; i < processes; i++) runs.push(await run(workload, isQuick))
  for (const table of combine(runs)) {
    tables.push(table)
    console.log(`${tableReport(table)}\n`)
  }
}
const summary = summaryOf(tables)
if (summary !== undefined) console.log(`${tableReport(summary)}\n`)
const targets = targetsOf(tables).filter(({ measured }) => measured !== undefined)
const missed = targets.filter((target) => !isMet(target))
console.log(targetsReport(targets))
console.log(
  missed.length === 0
    ? `\nAll ${targets.length} targets that were measured are met.`
    : `\nMISSED: ${missed.length} of ${targets.length} targets. On a busy machine, run it again before you believe it.`
)
if (json !== undefined) {
  await writeFile(json, JSON.stringify({ ...about, machine: on, tables, targets }, undefined, 2))
}
process.exit(check && missed.length > 0 ? 1 : 0)
