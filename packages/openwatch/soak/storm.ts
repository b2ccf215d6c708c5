/**
 * `npm run soak:openwatch -- storm [MINUTES]`: `openwatch run` on PostgreSQL, while its connections are ended at random in the
 * middle of transactions and a storm of scans comes in; ten minutes by default.
 *
 * Each scan that is clearly worse or better than the one before it is one alert, received once. Nothing else may be raised, the
 * process may not end, and two lines of its log tell of each outage. Exits with 1 where it is not so.
 */
import { NodeServices } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Cause, Console, Context, Effect, Exit, Layer, Redacted, Schedule } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { cluster } from "../../../test/servers/Postgres.ts"

const bin = fileURLToPath(new URL("../bin/openwatch.js", import.meta.url))
const hosts = 20

const scan = (host: number, n: number, passed: number): string => {
  const end = new Date(Date.now() - 3_000_000 + n * 1_000).toISOString()
  const rules = Array.from(
    { length: 100 },
    (_, rule) =>
      `<rule-result idref="rule-${rule}" severity="medium"><result>${
        rule < passed ? "pass" : "fail"
      }</result></rule-result>`
  )
  return `<TestResult xmlns="http://checklists.nist.gov/xccdf/1.2" id="r" end-time="${end}"><benchmark id="os"/>
    <profile idref="cis"/><target>web-${host}</target>${rules.join("")}</TestResult>`
}

/** Counts how often each alert is received. */
const receiver = Effect.acquireRelease(
  Effect.callback<{ readonly received: Map<string, number>; readonly url: string; readonly server: Http.Server }>(
    (resume) => {
      const received = new Map<string, number>()
      const server = Http.createServer((request, response) => {
        const id = String(request.headers["x-openwatch-alert-id"])
        received.set(id, (received.get(id) ?? 0) + 1)
        request.resume().on("end", () => response.writeHead(200).end())
      })
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ received, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }))
      })
    }
  ),
  ({ server }) => Effect.sync(() => server.closeAllConnections())
)

const folderScoped = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(`${tmpdir()}/openwatch-storm-`)),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Runs the storm; returns what is wrong. */
export const storm = Effect.fnUntraced(function*(minutes: number) {
  const { port } = yield* cluster
  const databaseUrl = `postgresql://openwatch@127.0.0.1:${port}/postgres`
  const { received, url } = yield* receiver
  const folder = yield* folderScoped
  mkdirSync(`${folder}/scans`)
  const configuration = { liveness: false, scans: "scans", http: false, channels: [{ type: "webhook", url }] }
  writeFileSync(`${folder}/openwatch.yaml`, JSON.stringify(configuration))

  const log: Array<string> = []
  const state = { hasEnded: false }
  const run = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [bin, "run", `${folder}/openwatch.yaml`], {
        env: { ...process.env, DATABASE_URL: databaseUrl },
        stdio: ["ignore", "ignore", "pipe"]
      })
      child.stderr.setEncoding("utf8").on("data", (text: string) => log.push(...text.split("\n")))
      child.on("exit", () => state.hasEnded = true)
      return child
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

  const database = yield* Layer.build(PgClient.layer({ url: Redacted.make(databaseUrl) }))
  const sql = Context.get(database, SqlClient.SqlClient)
  yield* Effect.retry(sql`SELECT 1 FROM alerts`, Schedule.spaced("1 second"))
  let ended = 0
  const ending = Effect.gen(function*() {
    const rows = yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'openwatch' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
      ORDER BY random() LIMIT 1`
    ended += rows.length
  }).pipe(Effect.delay("20 millis"), Effect.forever)

  let scans = 0
  const scanning = Effect.gen(function*() {
    for (const end = Date.now() + minutes * 60_000; Date.now() < end && !state.hasEnded; scans++) {
      for (let host = 0; host < hosts; host++) {
        const file = `${folder}/scan-${host}-${scans}.xml`
        writeFileSync(file, scan(host, scans, scans % 2 === 0 ? 95 : 70))
        renameSync(file, `${folder}/scans/scan-${host}-${scans}.xml`)
      }
      yield* Effect.sleep("4 seconds")
    }
  })
  yield* Effect.raceFirst(scanning, ending)

  // Each but the first of a host is a fall, or brings the score back.
  const expected = hosts * (scans - 1)
  const counted = Effect.gen(function*() {
    const [row] = yield* sql<{ alerts: number; due: number }>`SELECT (SELECT count(*) FROM alerts)::int AS alerts,
      (SELECT count(*) FROM deliveries WHERE state <> 'delivered')::int AS due`
    return row!
  })
  let now = yield* counted
  for (let waited = 0; waited < 120 && (now.alerts < expected || now.due > 0) && !state.hasEnded; waited++) {
    yield* Effect.sleep("1 second")
    now = yield* counted
  }
  yield* Effect.sleep("10 seconds")
  now = yield* counted
  const isLine = (text: string) => log.filter((line) => line.includes(text)).length
  const away = isLine("The database is away: ")
  const back = isLine("The database works again")
  const twice = Array.from(received.values()).filter((count) => count > 1).length
  yield* Console.log(
    `${ended} connections ended; ${expected} alerts expected, ${now.alerts} raised, ${now.due} not delivered, ` +
      `${received.size} received, ${twice} of them more than once; ${away} outages told, ${back} ends of outages`
  )
  run.kill("SIGTERM")
  return [
    ...(state.hasEnded ? ["openwatch run has ended"] : []),
    ...(now.alerts === expected ? [] : ["alerts are missing, or there are too many"]),
    ...(now.due === 0 && received.size === now.alerts ? [] : ["not all alerts were received"]),
    ...(twice === 0 ? [] : ["alerts were received more than once"]),
    ...(ended > 0 && away > 0 && away === back ? [] : ["the log does not tell of each outage by two lines"]),
    ...log.filter((line) => line.includes("ERROR"))
  ]
})

const minutes = Number(process.argv[3] ?? 10)
if (!(minutes > 0)) {
  console.error("usage: npm run soak:openwatch -- storm [MINUTES]")
  process.exit(2)
}
const exit = await Effect.runPromiseExit(storm(minutes).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
if (Exit.isFailure(exit)) console.error(Cause.pretty(exit.cause))
else for (const problem of exit.value) console.error(problem)
process.exit(Exit.isSuccess(exit) && exit.value.length === 0 ? 0 : 1)
