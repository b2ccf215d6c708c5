/**
 * What people do with alerts on a command line, beside a process that may be running.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { AlertStore, HeartbeatPulse, hostIdFromName, SqlAlertStore, Storage } from "@openwatch/openwatch"
import { DateTime, Duration, Effect, FileSystem, Layer, type Scope } from "effect"
import * as SqlClient from "effect/sql/SqlClient"
import { userInfo } from "node:os"
import { fromEvent } from "../../src/alert-router/Alert.ts"
import * as Command from "./command.ts"

/** Runs `openwatch` on a folder to its end. */
const openwatch = (folder: string, ...args: ReadonlyArray<string>) =>
  Command.run(Command.openwatch([...args, "--data", folder]))

const alerts = (folder: string, ...args: ReadonlyArray<string>) => openwatch(folder, "alerts", ...args)
const maintenance = (folder: string, ...args: ReadonlyArray<string>) => openwatch(folder, "maintenance", ...args)

const inFolder = (folder: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, Layer.provide(SqlAlertStore.layer, Storage.layer({ _tag: "DataFolder", path: folder })))

const id = "01936b0e-0000-7000-8000-000000000001"

/** A folder with an alert. */
const folderWithAlert = Effect.gen(function*() {
  const folder = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
  const event = new HeartbeatPulse({
    hostId: hostIdFromName("web"),
    reachable: false,
    priorReachable: true,
    responseTimeMs: 0,
    occurredAt: DateTime.makeUnsafe(0)
  })
  const consequence = fromEvent(event, { id, hostLabel: "web" })
  yield* Effect.flatMap(
    AlertStore.AlertStore,
    (store) => store.submit({ ...consequence, event, channels: ["ops"], timeToLive: Duration.hours(1) })
  ).pipe(inFolder(folder))
  return folder
})

const live = (name: string, test: Effect.Effect<void, unknown, NodeServices.NodeServices | Scope.Scope>) =>
  it.live(name, () => test.pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)

describe("alerts ack, silence, resolve", () => {
  live(
    "change alerts in the name of the user, and say what they are then",
    Effect.gen(function*() {
      const folder = yield* folderWithAlert
      const acknowledged = yield* alerts(folder, "ack", id, "--why", "I am on it")
      assert.deepStrictEqual(acknowledged, {
        stdout: "000000000001 is acknowledged: web is unreachable\n",
        stderr: "",
        exitCode: 0
      })
      const silenced = yield* alerts(folder, "silence", "000000000001", "--for", "2h")
      assert.match(
        silenced.stdout,
        /^000000000001 is silenced until \d{4}-\d\d-\d\d \d\d:\d\d\+00:00: web is unreachable\n$/
      )
      const history = yield* Effect.flatMap(AlertStore.AlertStore, (store) => store.history(id)).pipe(inFolder(folder))
      assert.deepStrictEqual(history.map(({ to, who, why }) => [to, who, why]), [
        ["acknowledged", userInfo().username, "I am on it"],
        ["silenced", userInfo().username, ""]
      ])
      const { at, until } = history[1]!
      assert.strictEqual(until!.epochMilliseconds - at.epochMilliseconds > 7_190_000, true)
      assert.isAtMost(until!.epochMilliseconds - at.epochMilliseconds, 7_200_000)
    })
  )

  live(
    "say what is wrong with each alert, and change none then",
    Effect.gen(function*() {
      const folder = yield* folderWithAlert
      const refused = yield* alerts(folder, "resolve", id, "000000000009", "web")
      assert.deepStrictEqual(refused, {
        stdout: "",
        stderr: "error: alert 000000000009 is unknown\nalert web is unknown\n",
        exitCode: 1
      })
      const [stored] = yield* Effect.flatMap(AlertStore.AlertStore, (store) => store.list()).pipe(inFolder(folder))
      assert.strictEqual(stored?.state, "active")
      const wrong = yield* alerts(folder, "silence", id, "--for", "tomorrow")
      assert.include(wrong.stderr, "Expected: a time span like 90s, 5m or 1h")
      assert.strictEqual(wrong.exitCode, 2)
    })
  )
})

describe("maintenance", () => {
  live(
    "is begun, listed and ended by commands",
    Effect.gen(function*() {
      const folder = yield* folderWithAlert
      const begun = yield* maintenance(folder, "add", "web", "site=berlin", "--for", "2h", "--why", "new disk")
      const times = String.raw`from \d{4}-\d\d-\d\d \d\d:\d\d\+00:00 until \d{4}-\d\d-\d\d \d\d:\d\d\+00:00`
      const by = `by ${userInfo().username}: new disk`
      assert.match(
        begun.stdout,
        new RegExp(`^web is in maintenance ${times}, ${by}\nsite=berlin is in maintenance ${times}, ${by}\n$`)
      )
      const ended = yield* maintenance(folder, "end", "web")
      assert.strictEqual(ended.stdout, "web is in maintenance no more\n")
      assert.match(
        (yield* maintenance(folder, "list")).stdout,
        new RegExp(`^site=berlin is in maintenance ${times}, ${by}\n$`)
      )
      const again = yield* maintenance(folder, "end", "web", "site=berlin")
      assert.deepStrictEqual(again, {
        stdout: "",
        stderr: "error: web is in no maintenance that was begun by a command\n",
        exitCode: 1
      })
      const fs = yield* FileSystem.FileSystem
      const file = `${folder}/openwatch.yaml`
      yield* fs.writeFileString(
        file,
        [
          "inventory: hosts.yaml",
          "channels: [{ type: slack, url_env: NOT_SET_HERE }]",
          "maintenance:",
          "  - { hosts: [web, db], once: 2999-12-01 22:00, for: 2h, time_zone: UTC, why: new switches }"
        ].join("\n")
      )
      const listed = yield* maintenance(folder, "list", "--config", file)
      assert.match(
        listed.stdout,
        new RegExp(
          `^site=berlin is in maintenance ${times}, ${by}\n` +
            `web, db will be in maintenance ${times}, planned in ${file}: new switches\n$`
        )
      )
      assert.strictEqual(listed.stderr, "")
      const forged = yield* maintenance(folder, "add", "web\nall is well", "--for", "2h")
      assert.include(forged.stderr, "a text without control characters")
      assert.strictEqual(forged.exitCode, 2)
      const wrong = yield* maintenance(folder, "add", "web", "--for", "40d")
      assert.include(wrong.stderr, "a time span from 1m to 30d")
      assert.strictEqual(wrong.exitCode, 2)
    })
  )
})

describe("alerts list --host", () => {
  live(
    "tells a host without alerts from one that there is not",
    Effect.gen(function*() {
      const folder = yield* folderWithAlert
      yield* Effect.flatMap(
        SqlClient.SqlClient,
        (sql) =>
          sql`INSERT INTO inventory ${sql.insert({ host_id: hostIdFromName("db"), name: "db", endpoint: "db:22" })}`
      ).pipe(Effect.provide(Storage.layer({ _tag: "DataFolder", path: folder })))
      const list = (...args: ReadonlyArray<string>) => alerts(folder, "list", "--host", ...args)
      assert.deepStrictEqual(yield* list("db"), { stdout: "No alerts\n", stderr: "", exitCode: 0 })
      // It has left the inventory, and has an alert in another state.
      assert.strictEqual((yield* list("web", "--state", "dismissed")).stdout, "No alerts\n")
      assert.deepStrictEqual(yield* list("bd", "--json"), {
        stdout: "",
        stderr: "error: no host of the inventory is called \"bd\", and no alert is of one\n",
        exitCode: 1
      })
    })
  )
})
