import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  AlertStore,
  type HostId,
  hostIdFromName,
  HostStates,
  Outboxes,
  SqlAlertStore,
  Storage,
  SystemEventBus,
  SystemOutbox
} from "@openwatch/openwatch"
import {
  DateTime,
  Deferred,
  Duration,
  Effect,
  Fiber,
  FileSystem,
  Layer,
  Queue,
  Random,
  type Scope,
  Stream
} from "effect"
import { ChildProcess } from "effect/process"
import * as SqlClient from "effect/sql/SqlClient"
import * as Net from "node:net"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"
import { mailServer } from "../channels/MailServer.ts"
import { receiver, stalling, status } from "../channels/Receiver.ts"
import { environment } from "./command.ts"

const bin = fileURLToPath(new URL("../../bin/openwatch.js", import.meta.url))

const live = <A, E>(name: string, test: Effect.Effect<A, E, NodeServices.NodeServices | Scope.Scope>) =>
  it.live(name, () => Effect.provide(test, NodeServices.layer), 120_000)

/** A folder with a configuration whose hosts all are on one port, and nothing stored yet. */
const fleet = (
  options:
    & { readonly hosts: number; readonly port: number }
    & (
      | { readonly webhook: string }
      | { readonly channel: string }
    )
) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    const entries = Array.from(
      { length: options.hosts },
      (_, n) => `  - { name: host-${n}, address: 127.0.0.1, port: ${options.port} }\n`
    )
    yield* fs.writeFileString(`${folder}/hosts.yaml`, `hosts:\n${entries.join("")}`)
    yield* fs.writeFileString(
      `${folder}/openwatch.yaml`,
      `inventory: hosts.yaml
liveness: { failure_threshold: 1 }
http: false
channels:
  - ${
        "channel" in options
          ? options.channel
          : `{ type: webhook, name: ops, url: "${options.webhook}/T0K3N", secret_env: OPS_SECRET }`
      }
`
    )
    return folder
  })

const linesOf = (stream: Stream.Stream<Uint8Array, unknown>) =>
  stream.pipe(Stream.decodeText(), Stream.splitLines, Stream.orDie)

const openwatch = (folder: string, ...args: ReadonlyArray<string>) =>
  ChildProcess.make(process.execPath, [bin, ...args, "--data", `${folder}/data`], {
    env: { ...environment, OPS_SECRET: "s3cr3t" },
    extendEnv: false,
    stdin: "ignore"
  })

/** Starts `openwatch run`. */
const start = (folder: string) =>
  Effect.gen(function*() {
    const handle = yield* openwatch(folder, "run", `${folder}/openwatch.yaml`)
    const isWatching = yield* Deferred.make<void>()
    const stdout = yield* linesOf(handle.stdout).pipe(Stream.runCollect, Effect.forkScoped)
    const stderr = yield* linesOf(handle.stderr).pipe(
      Stream.tap((line) => line.includes("Watching") ? Deferred.succeed(isWatching, undefined) : Effect.void),
      Stream.runCollect,
      Effect.forkScoped
    )
    return {
      /** Waits until it probes. */
      isWatching: Deferred.await(isWatching),
      signal: (signal: NodeJS.Signals) => Effect.sync(() => process.kill(Number(handle.pid), signal)),
      exitCode: Effect.map(handle.exitCode, Number),
      ended: Effect.exit(handle.exitCode),
      stdout: Fiber.join(stdout),
      stderr: Fiber.join(stderr)
    }
  })

/** Runs another command to its end; its lines. */
const run = (folder: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const handle = yield* openwatch(folder, ...args)
    const lines = yield* Stream.runCollect(linesOf(handle.stdout))
    assert.strictEqual(Number(yield* handle.exitCode), 0)
    return lines
  }).pipe(Effect.scoped)

/** What is stored in a folder: the alerts in the order in which they were raised, verdicts, and how many events are unhandled. */
const stored = (folder: string) =>
  Effect.gen(function*() {
    const alerts = (yield* (yield* AlertStore.AlertStore).list()).toReversed()
    const verdicts = yield* (yield* HostStates.HostStates).verdicts
    const reachable = new Map(Array.from(verdicts, ([hostId, { reachable }]) => [hostId, reachable]))
    const router = (yield* (yield* SystemOutbox).consumers).find(({ name }) => name === "alert-router")
    return { alerts, reachable, unhandled: router!.lag.events }
  }).pipe(Effect.provide(
    Layer.mergeAll(SqlAlertStore.layer, HostStates.layer).pipe(
      Layer.provideMerge(Outboxes.system()),
      Layer.provide(SystemEventBus.layer),
      Layer.provide(Storage.layer({ _tag: "DataFolder", path: `${folder}/data` }))
    )
  ))

/** The next start probes each host at once, not only when it is due. */
const forgetSchedule = (folder: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`DELETE FROM host_probes`).pipe(
    Effect.provide(Storage.layer({ _tag: "DataFolder", path: `${folder}/data` }))
  )

/** A server that greets like an SSH server while it is up, and hangs up while it is not. */
const ssh = Effect.gen(function*() {
  const host = { isUp: true, port: 0 }
  const server = Net.createServer((socket) => {
    socket.on("error", () => {})
    if (host.isUp) socket.end("SSH-2.0-test\r\n")
    else socket.destroy()
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => server.close())
  )
  host.port = (server.address() as Net.AddressInfo).port
  return host
})

describe("openwatch run", () => {
  live(
    "SIGTERM in the middle of a burst: every event that was published is stored once, and the last line counts it",
    Effect.gen(function*() {
      const host = yield* ssh
      host.isUp = false
      const { received, url } = yield* receiver(status(200))
      const folder = yield* fleet({ hosts: 2_000, port: host.port, webhook: url })
      const { exitCode, signal, stdout } = yield* start(folder)
      yield* Queue.take(received)
      yield* signal("SIGTERM")
      assert.strictEqual(yield* exitCode, 0)

      const last = (yield* stdout).at(-1) ?? ""
      const counts =
        /^(\d+) events published, 0 dropped; (\d+) received, (\d+) alerts routed, 0 dedup.*; failures: 0 to store, 0 to ops$/
          .exec(last)
      assert(counts !== null, last)
      const [published, taken, routed] = counts.slice(1).map(Number)
      // It was the middle: some were stored, and some hosts were not probed any more.
      assert.isBelow(published!, 2_000)
      const { alerts, reachable, unhandled } = yield* stored(folder)
      assert.deepStrictEqual([taken, routed, alerts.length], [published, published, published])
      assert.strictEqual(new Set(alerts.map(({ alert }) => alert.hostId)).size, published)
      assert.strictEqual(reachable.size, published)
      assert.strictEqual(unhandled, 0)
    })
  )

  live(
    "SIGKILL at random moments: after the restart no alert is twice, and none is lost on its way",
    Effect.gen(function*() {
      const seed = `${Date.now()}`
      yield* Effect.gen(function*() {
        const hosts = 60
        const host = yield* ssh
        const { received, url } = yield* receiver(status(200))
        const folder = yield* fleet({ hosts, port: host.port, webhook: url })
        const ids: Array<unknown> = []
        const delivered = Stream.fromQueue(received).pipe(
          Stream.tap(({ headers }) => Effect.sync(() => ids.push(headers["x-openwatch-alert-id"])))
        )
        const arrivals = yield* Queue.unbounded<void>()
        yield* delivered.pipe(Stream.runForEach(() => Queue.offer(arrivals, undefined)), Effect.forkScoped)

        for (let round = 0; round < 10; round++) {
          host.isUp = round % 2 === 1
          yield* Effect.gen(function*() {
            const { ended, isWatching, signal } = yield* start(folder)
            yield* isWatching
            // The first round is to raise something; in later ones, where the hosts may all be known, the moment is any.
            const arrived = Effect.repeat(Queue.take(arrivals), { times: yield* Random.nextIntBetween(0, hosts / 2) })
            const pause = Effect.sleep(Duration.millis(yield* Random.nextIntBetween(1, 400)))
            yield* round === 0 ? arrived : Effect.raceFirst(arrived, pause)
            yield* signal("SIGKILL")
            yield* ended
          }).pipe(Effect.scoped)
          yield* forgetSchedule(folder)
        }

        // The last one is stopped gracefully: what was stored is announced, raised and delivered.
        const last = yield* start(folder)
        yield* last.isWatching
        yield* last.signal("SIGTERM")
        assert.strictEqual(yield* last.exitCode, 0)

        const { alerts, reachable } = yield* stored(folder)
        assert.isAbove(alerts.length, 0)
        const byHost = Map.groupBy(alerts, ({ alert }) => alert.hostId)
        for (const [hostId, raised] of byHost) {
          // One that was lost or raised twice would leave two of a type next to each other.
          const types = raised.toSorted((a, b) =>
            DateTime.toEpochMillis(a.alert.occurredAt) - DateTime.toEpochMillis(b.alert.occurredAt)
          ).map(({ alert }) => alert.type)
          assert.deepStrictEqual(
            types,
            types.map((_, n) => n % 2 === 0 ? "host_unreachable" : "host_recovered"),
            hostId
          )
          assert.strictEqual(types.at(-1) === "host_recovered", reachable.get(hostId), hostId)
        }
        const unreachable = [...reachable].filter(([, isReachable]) => !isReachable).map(([hostId]) => hostId)
        const open = alerts.filter(({ state }) => state === "active").map(({ alert }) => alert.hostId)
        assert.deepStrictEqual(open.toSorted(), unreachable.toSorted())
        assert.deepStrictEqual(
          alerts.flatMap(({ deliveries }) => deliveries).filter(({ state }) => state !== "delivered"),
          []
        )
        assert.deepStrictEqual(new Set(ids), new Set(alerts.map(({ alert }) => alert.id)))
      }).pipe(
        Random.withSeed(seed),
        Effect.tapCause(() => Effect.logError(`The seed was ${seed}`))
      )
    })
  )

  live(
    "while a channel stalls, the alert is listed as pending, and a second signal ends it at once",
    Effect.gen(function*() {
      const host = yield* ssh
      host.isUp = false
      const { received, url } = yield* receiver(stalling)
      const folder = yield* fleet({ hosts: 1, port: host.port, webhook: url })
      const { exitCode, signal } = yield* start(folder)
      yield* Queue.take(received)
      const [, alert, delivery] = yield* run(folder, "alerts", "list", "--state", "active")
      assert.match(
        alert!,
        /  [0-9a-f]{12}  active        high      host-0 \(127\.0\.0\.1:\d+\) is unreachable: connection closed before an SSH banner$/
      )
      assert.match(delivery!, /^  ops: pending, \d attempts?/)
      yield* signal("SIGINT")
      yield* signal("SIGTERM")
      // Both are pending at once, and the system delivers them in either order.
      assert.include([128 + constants.signals.SIGINT, 128 + constants.signals.SIGTERM], yield* exitCode)
    })
  )

  live(
    "what a channel has given up is listed, and sent again by a command, beside the run",
    Effect.gen(function*() {
      const host = yield* ssh
      host.isUp = false
      const { received, url } = yield* receiver(status(400), status(200))
      const folder = yield* fleet({ hosts: 1, port: host.port, webhook: url })
      const { exitCode, signal } = yield* start(folder)
      const refused = yield* Queue.take(received)
      const id = String(refused.headers["x-openwatch-alert-id"])
      let lines = yield* run(folder, "alerts", "list")
      while (lines[2]?.includes("pending") === true) lines = yield* run(folder, "alerts", "list")
      assert.strictEqual(lines[2], "  ops: given up after 1 attempt: the receiver answered with status 400")
      assert.deepStrictEqual(yield* run(folder, "alerts", "resend", id), [`alert ${id} is sent again to ops`])
      assert.strictEqual((yield* Queue.take(received)).body, refused.body)
      yield* signal("SIGTERM")
      assert.strictEqual(yield* exitCode, 0)
      assert.strictEqual((yield* run(folder, "alerts", "list")).length, 2)

      const nothing = yield* openwatch(folder, "alerts", "resend", "--channel", "ops")
      assert.deepStrictEqual(yield* Stream.runCollect(linesOf(nothing.stderr)), [
        `error: the channel "ops" has given up nothing`
      ])
      const again = yield* openwatch(folder, "alerts", "resend", id, "0193558c5a3e")
      const stderr = yield* Stream.runCollect(linesOf(again.stderr))
      assert.deepStrictEqual(stderr, [`error: no channel has given up alert ${id}`, "there is no alert 0193558c5a3e"])
      assert.strictEqual(Number(yield* again.exitCode), 1)
    })
  )

  live(
    "many hosts that go down are one mail, also if the process is killed while it waits for more",
    Effect.gen(function*() {
      const hosts = 60
      const host = yield* ssh
      host.isUp = false
      const { port, received } = yield* mailServer({ disabledCommands: ["STARTTLS"] })
      const folder = yield* fleet({
        hosts,
        port: host.port,
        channel:
          `{ type: email, host: 127.0.0.1, port: ${port}, security: none, from: a@example.org, to: ops@example.org, group_wait: 20s }`
      })
      yield* Effect.gen(function*() {
        const { ended, isWatching, signal } = yield* start(folder)
        yield* isWatching
        while ((yield* stored(folder)).alerts.length < hosts) yield* Effect.sleep("100 millis")
        yield* signal("SIGKILL")
        yield* ended
      }).pipe(Effect.scoped)
      assert.strictEqual(Queue.sizeUnsafe(received), 0)

      const { exitCode, signal } = yield* start(folder)
      const { text } = yield* Queue.take(received)
      assert.match(text, /^Subject: \[high\] 60 hosts are unreachable\r$/m)
      assert.include(text.replaceAll("=\r\n", ""), "and 40 more")
      yield* signal("SIGTERM")
      assert.strictEqual(yield* exitCode, 0)
      assert.strictEqual(Queue.sizeUnsafe(received), 0)
      const { alerts } = yield* stored(folder)
      assert.isTrue(alerts.every(({ deliveries }) => deliveries.every(({ state }) => state === "delivered")))
    })
  )

  live(
    "of two that start at once on a new folder one runs, and the other says so and ends",
    Effect.gen(function*() {
      const host = yield* ssh
      const { url } = yield* receiver(status(200))
      const folder = yield* fleet({ hosts: 1, port: host.port, webhook: url })
      const both = yield* Effect.all([start(folder), start(folder)], { concurrency: "unbounded" })
      const [first, second] = both
      const isSecond = yield* Effect.raceFirst(
        Effect.as(first.exitCode, false),
        Effect.as(second.exitCode, true)
      )
      const [runs, ended] = isSecond ? [first, second] : [second, first]
      assert.strictEqual(yield* ended.exitCode, 1)
      assert.include(
        (yield* ended.stderr).at(-1),
        `error: another openwatch run probes hosts with data folder ${folder}/data: stop it`
      )
      yield* runs.isWatching
      // Other commands run beside it.
      assert.isAtLeast((yield* run(folder, "alerts", "list")).length, 1)
      yield* runs.signal("SIGTERM")
      assert.strictEqual(yield* runs.exitCode, 0)
    })
  )

  // `/dev/full` is a file on a disk that is full.
  live(
    "goes on while neither its log nor its console can be written, and the alert is not given up",
    Effect.gen(function*() {
      const host = yield* ssh
      host.isUp = false
      const { received, url } = yield* receiver(status(200))
      const folder = yield* fleet({
        hosts: 1,
        port: host.port,
        channel: `{ type: webhook, url: "${url}" }\n  - { type: console, group_wait: 0 }`
      })
      const handle = yield* ChildProcess.make("sh", [
        "-c",
        `exec "$0" "$@" >/dev/full 2>/dev/full`,
        process.execPath,
        bin,
        "run",
        `${folder}/openwatch.yaml`,
        "--data",
        `${folder}/data`
      ], { stdin: "ignore" })
      yield* Queue.take(received)
      let listed: ReadonlyArray<string> = []
      while (!listed.some((line) => line.includes("standard output"))) listed = yield* run(folder, "alerts", "list")
      const undelivered = listed.find((line) => line.includes("standard output"))
      assert.match(undelivered!, /^ {2}console: pending, \d+ attempts?: standard output: ENOSPC: no space left/)
      process.kill(Number(handle.pid), "SIGTERM")
      assert.strictEqual(Number(yield* handle.exitCode), 0)
    })
  )

  live(
    "a recovery while it did not run is noticed when it runs again, and no secret is ever shown",
    Effect.gen(function*() {
      const host = yield* ssh
      host.isUp = false
      const { received, url } = yield* receiver(status(500), status(200))
      const folder = yield* fleet({ hosts: 1, port: host.port, webhook: url })
      const output: Array<string> = []
      const runUntilReceived = (count: number) =>
        Effect.gen(function*() {
          const { exitCode, signal, stderr, stdout } = yield* start(folder)
          const requests = yield* Queue.takeN(received, count)
          yield* signal("SIGTERM")
          assert.strictEqual(yield* exitCode, 0)
          output.push(...(yield* stdout), ...(yield* stderr))
          return requests
        }).pipe(Effect.scoped)

      const [failed, down] = yield* runUntilReceived(2)
      assert.strictEqual(failed!.headers["x-openwatch-alert-id"], down!.headers["x-openwatch-alert-id"])
      host.isUp = true
      yield* forgetSchedule(folder)
      const [up] = yield* runUntilReceived(1)
      assert.strictEqual(JSON.parse(up!.body).type, "host_recovered")

      const list = yield* run(folder, "alerts", "list")
      output.push(...list, ...(yield* run(folder, "alerts", "list", "--json")))
      const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d\+00:00`
      assert.strictEqual(list.length, 3)
      assert.match(
        list[1]!,
        new RegExp(`^${time}  [0-9a-f]{12}  resolved      info      host-0 .* is reachable again$`)
      )
      assert.match(
        list[2]!,
        new RegExp(
          `^${time}  [0-9a-f]{12}  resolved      high      host-0 .* is unreachable: connection closed before an SSH banner$`
        )
      )
      assert.deepStrictEqual(yield* run(folder, "alerts", "list", "--state", "active"), ["No alerts"])
      assert.include(output.join("\n"), "is not delivered")
      assert.notInclude(output.join("\n"), "T0K3N")
      assert.notInclude(output.join("\n"), "s3cr3t")
      assert.strictEqual(JSON.parse(up!.body).hostId, hostIdFromName("host-0") satisfies HostId)
    })
  )
})
