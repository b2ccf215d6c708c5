/**
 * The liveness loop through restarts, changes of the inventory, and faults of the machine that it runs on.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  HeartbeatPulse,
  type Host,
  HostHistory,
  HostStates,
  Inventory,
  LivenessLoop,
  Probe,
  Storage,
  SystemEventBus,
  SystemOutbox,
  Uptime
} from "@openwatch/openwatch"
import {
  Clock,
  DateTime,
  type Duration,
  Effect,
  Fiber,
  FileSystem,
  Latch,
  Layer,
  PlatformError,
  Queue,
  Stream
} from "effect"
import { ChildProcess } from "effect/process"
import { SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { outboxes } from "../storage/Database.ts"
import { capturedLogs, down, host, quiet, scripted, started, subscribed, summaries, up } from "./fixture.ts"

const bin = fileURLToPath(new URL("../../bin/openwatch.js", import.meta.url))

/** What was stored is on the bus a few turns later, which `TestClock` does not wait for. */
const settled = Effect.repeat(Effect.yieldNow, { times: 300 })

/** Watches hosts for some time; the pulses published meanwhile, each as the host's name and its change. */
const watchFor = (
  time: Duration.Input,
  probe: ReturnType<typeof scripted>,
  hosts: ReadonlyArray<Host>,
  options?: Parameters<typeof LivenessLoop.watch>[1]
) =>
  Effect.gen(function*() {
    const subscription = yield* subscribed
    const fiber = yield* started(LivenessLoop.watch(hosts, options))
    yield* TestClock.adjust(time)
    yield* settled
    const pulses = yield* subscription.takeUpTo(100_000)
    yield* Fiber.interrupt(fiber)
    return summaries(hosts, pulses).map(({ change, host }) => [host, change[0], change[1]])
  }).pipe(Effect.provide(probe.layer), Effect.provide(quiet), Effect.scoped)

const databaseIn = (path: string) =>
  Layer.mergeAll(HostStates.layer, HostHistory.layer).pipe(
    Layer.provideMerge(outboxes),
    Layer.provideMerge(Storage.layer({ _tag: "DataFolder", path })),
    Layer.fresh
  )

/** A database in a folder of its own, with its bus. */
const database = Layer.unwrap(
  Effect.flatMap(
    FileSystem.FileSystem,
    (fs) => Effect.map(fs.makeTempDirectoryScoped(), databaseIn)
  )
).pipe(Layer.provideMerge(NodeServices.layer))

describe("a restart", () => {
  // @spec system-liveness-loop
  // @ac AC-16
  it.effect("[system-liveness-loop/AC-16] is no first sighting", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("stays-up"), host("stays-down"), host("goes-down"), host("comes-up")]
      const before = scripted((name) => name === "stays-up" || name === "goes-down" ? [up] : [down])
      assert.sameDeepMembers(yield* watchFor("10 minutes", before, hosts, { hostStates }), [
        ["stays-up", null, true],
        ["stays-down", null, false],
        ["goes-down", null, true],
        ["comes-up", null, false]
      ])
      const after = scripted((name) => name === "stays-up" || name === "comes-up" ? [up] : [down])
      assert.sameDeepMembers(yield* watchFor("20 minutes", after, hosts, { hostStates }), [
        ["goes-down", true, false],
        ["comes-up", false, true]
      ])
    }).pipe(Effect.provide(database)))

  // @spec system-liveness-loop
  // @ac AC-17
  it.effect("[system-liveness-loop/AC-17] changes nothing about when hosts are probed", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("a"), host("b"), host("c")]
      const offsets = (probe: ReturnType<typeof scripted>, start: number) =>
        hosts.map(({ name }) => probe.startedAt(name).map((time) => time - start))

      const through = scripted(() => [up])
      const start = yield* Clock.currentTimeMillis
      yield* watchFor("1 hour", through, hosts)
      const restarted = scripted(() => [up])
      const secondStart = yield* Clock.currentTimeMillis
      yield* watchFor("17 minutes", restarted, hosts, { hostStates })
      yield* watchFor("21 minutes", restarted, hosts, { hostStates })
      yield* watchFor("22 minutes", restarted, hosts, { hostStates })
      assert.deepStrictEqual(offsets(restarted, secondStart), offsets(through, start))

      yield* TestClock.adjust("3 hours")
      const late = scripted(() => [up])
      const thirdStart = yield* Clock.currentTimeMillis
      yield* watchFor("1 second", late, hosts, { hostStates })
      assert.deepStrictEqual(offsets(late, thirdStart), [[0], [0], [0]])
    }).pipe(Effect.provide(database)))

  it.effect("between two failures does not forget the first", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("a")]
      assert.deepStrictEqual(yield* watchFor("20 seconds", scripted(() => [down]), hosts, { hostStates }), [])
      const second = scripted(() => [down, up])
      assert.deepStrictEqual(yield* watchFor("20 seconds", second, hosts, { hostStates }), [["a", null, false]])
    }).pipe(Effect.provide(database)))

  it.effect("after a crash, which loses the schedule of seconds, does not count failures from before a recovery", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("a")]
      yield* watchFor("1 minute", scripted(() => [down]), hosts, { hostStates })
      const { id } = hosts[0]!
      assert.strictEqual((yield* hostStates.probes).get(id)?.failures, 2)
      // The crash comes when the recovery is stored, and the probe that found it is not.
      yield* hostStates.record(
        new HeartbeatPulse({
          hostId: id,
          reachable: true,
          priorReachable: false,
          responseTimeMs: 1,
          occurredAt: yield* DateTime.now
        })
      )
      yield* TestClock.adjust("6 minutes")
      assert.deepStrictEqual(yield* watchFor("1 second", scripted(() => [down, up]), hosts, { hostStates }), [])
    }).pipe(Effect.provide(database)))

  it.effect("with another address in the inventory probes at once", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const before = host("a")
      yield* watchFor("1 minute", scripted(() => [up]), [before], { hostStates })
      const probe = scripted(() => [up])
      yield* watchFor("1 second", probe, [Object.assign(host("a"), { address: "b" })], { hostStates })
      assert.strictEqual(probe.startedAt("b").length, 1)
    }).pipe(Effect.provide(database)))

  // @spec system-liveness-loop
  // @ac AC-18
  it.effect("[system-liveness-loop/AC-18] loses no transition that was stored, and tells of none twice", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const hosts = [host("a")]
      const watch = Effect.gen(function*() {
        return yield* watchFor("1 minute", scripted(() => [up]), hosts, { hostStates: yield* HostStates.HostStates })
      }).pipe(Effect.provide(databaseIn(folder)))
      assert.deepStrictEqual(yield* watch, [["a", null, true]])
      assert.deepStrictEqual(yield* watch, [])
      // Whoever handles them gets it, in whichever process.
      const handled = yield* Effect.gen(function*() {
        const outbox = yield* SystemOutbox
        const pulses: Array<HeartbeatPulse> = []
        const handler = (pulse: HeartbeatPulse) => Effect.sync(() => pulses.push(pulse))
        yield* outbox.on("HeartbeatPulse", handler, { consumer: "test", from: "beginning" })
        yield* outbox.awaitIdle
        return pulses
      }).pipe(Effect.scoped, Effect.provide(databaseIn(folder)))
      assert.deepStrictEqual(summaries(hosts, handled).map(({ change, host }) => [host, change[0], change[1]]), [[
        "a",
        null,
        true
      ]])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("the inventory", () => {
  // `TestClock` waits for what a sleep sets off, not for this.
  const change = (changes: Queue.Queue<ReadonlyArray<Host>>, hosts: ReadonlyArray<Host>) =>
    Effect.andThen(Queue.offer(changes, hosts), Effect.repeat(Effect.yieldNow, { times: 100 }))

  // @spec system-liveness-loop
  // @ac AC-19
  it.effect("[system-liveness-loop/AC-19] may change: hosts come, go and move", () =>
    Effect.gen(function*() {
      const probe = scripted((address) => address === "moved-to" ? [down, down, up] : [up])
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const moved = host("moves")
      const hosts = [host("stays"), host("goes"), moved]
      const all = [...hosts, host("comes")]
      const subscription = yield* subscribed
      const fiber = yield* started(
        LivenessLoop.watch(hosts, { changes: Stream.fromQueue(changes) }).pipe(Effect.provide(probe.layer))
      )
      const pulses = Effect.map(
        subscription.takeUpTo(100),
        (pulses) => summaries(all, pulses).map(({ change, host }) => [host, change[0], change[1]])
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* pulses).length, 3)

      yield* change(changes, [host("comes"), host("stays"), Object.assign(host("moves"), { address: "moved-to" })])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* pulses, [["comes", null, true]])
      assert.deepStrictEqual(probe.startedAt("moved-to"), [60_000])
      assert.strictEqual(probe.startedAt("stays").length, 1)

      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* pulses, [["moves", true, false]])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(probe.startedAt("goes").length, 1)
      assert.strictEqual(probe.startedAt("moves").length, 1)
      assert.isAbove(probe.startedAt("stays").length, 10)

      // One that comes back is the same host.
      yield* pulses
      yield* change(changes, all)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* pulses, [])
      assert.isAbove(probe.startedAt("goes").length, 1)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide([SystemEventBus.layer, quiet]), Effect.scoped))

  // @spec system-liveness-loop
  // @ac AC-24
  it.effect("[system-liveness-loop/AC-24] a host that goes ends what was told of it; back again, it is news where it was down", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("up"), host("down"), host("stays")]
      const probe = scripted((name) => name === "down" ? [down] : [up])
      const subscription = yield* subscribed
      const watch = (hosts: ReadonlyArray<Host>, changes: Stream.Stream<ReadonlyArray<Host>> = Stream.never) =>
        started(LivenessLoop.watch(hosts, { hostStates, changes }).pipe(Effect.provide(probe.layer)))
      const told = Effect.map(
        Effect.andThen(settled, subscription.takeUpTo(100)),
        (pulses) => pulses.map(({ change, host }) => `${host?.name} ${change}`).toSorted()
      )
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const fiber = yield* watch(hosts, Stream.fromQueue(changes))
      yield* TestClock.adjust("1 minute")
      yield* told
      yield* change(changes, [host("stays")])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* told, ["down removed", "up removed"])
      yield* Fiber.interrupt(fiber)
      // While nobody was watching: the stored inventory tells.
      const next = yield* watch(hosts)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* told, ["down unreachable"])
      yield* Fiber.interrupt(next)
      const last = yield* watch([host("up")])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* told, ["down removed", "stays removed"])
      yield* Fiber.interrupt(last)
    }).pipe(Effect.provide(quiet), Effect.scoped, Effect.provide(database)))

  // @spec system-liveness-loop
  // @ac AC-24
  it.effect("[system-liveness-loop/AC-24] a host under another name, at the address of one that is gone, is that one", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const before = Object.assign(host("old"), { address: "192.0.2.7" })
      const after = Object.assign(host("new"), { address: "192.0.2.7" })
      const probe = scripted(() => [down])
      const subscription = yield* subscribed
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const fiber = yield* started(
        LivenessLoop.watch([before, host("other")], { hostStates, changes: Stream.fromQueue(changes) }).pipe(
          Effect.provide(probe.layer)
        )
      )
      yield* TestClock.adjust("1 minute")
      yield* settled
      assert.strictEqual((yield* subscription.takeUpTo(100)).length, 2)
      yield* change(changes, [after, host("other")])
      yield* TestClock.adjust("1 hour")
      yield* settled
      assert.deepStrictEqual(yield* subscription.takeUpTo(100), [])
      assert.deepStrictEqual(
        [...(yield* hostStates.verdicts).keys()].toSorted(),
        [after.id, host("other").id].toSorted()
      )
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(quiet), Effect.scoped, Effect.provide(database)))

  it.effect("a host that moves while its verdict is being stored is told of once", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const reply = yield* Latch.make()
      const slow: typeof hostStates = {
        ...hostStates,
        record: (...transition) => Effect.andThen(hostStates.record(...transition), reply.await)
      }
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const subscription = yield* subscribed
      const fiber = yield* started(
        LivenessLoop.watch([host("moves")], { hostStates: slow, changes: Stream.fromQueue(changes) }).pipe(
          Effect.provide(scripted(() => [up]).layer)
        )
      )
      yield* TestClock.adjust("1 second")
      yield* change(changes, [Object.assign(host("moves"), { address: "moved-to" })])
      yield* reply.open
      yield* TestClock.adjust("1 minute")
      yield* settled
      const pulses = yield* subscription.takeUpTo(100)
      assert.deepStrictEqual(pulses.map(({ change }) => change), ["reachable"])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(quiet), Effect.scoped, Effect.provide(database)))

  it.effect("a host that goes while its verdict is being stored is gone afterwards", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const turn = yield* Latch.make()
      const slow: typeof hostStates = {
        ...hostStates,
        record: (...transition) => Effect.uninterruptible(Effect.andThen(turn.await, hostStates.record(...transition)))
      }
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const subscription = yield* subscribed
      const fiber = yield* started(
        LivenessLoop.watch([host("goes")], { hostStates: slow, changes: Stream.fromQueue(changes) }).pipe(
          Effect.provide(scripted(() => [down]).layer)
        )
      )
      yield* TestClock.adjust("1 minute")
      yield* change(changes, [])
      yield* turn.open
      yield* TestClock.adjust("1 minute")
      yield* settled
      const pulses = yield* subscription.takeUpTo(100)
      assert.deepStrictEqual(pulses.map(({ change }) => change), ["unreachable", "removed"])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(quiet), Effect.scoped, Effect.provide(database)))

  it.effect("a stop does not wait for a database that says nothing", () =>
    Effect.gen(function*() {
      const hostStates = { ...yield* HostStates.HostStates, record: () => Effect.never }
      const fiber = yield* started(
        LivenessLoop.watch([host("stays")], { hostStates }).pipe(Effect.provide(scripted(() => [up]).layer))
      )
      yield* TestClock.adjust("1 second")
      const stop = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(stop.pollUnsafe())
    }).pipe(Effect.provide(quiet), Effect.scoped, Effect.provide(database)))

  it.effect("a change while a probe is in flight ends it where the host has moved or gone", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: true, after: "1 minute" }])
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const fiber = yield* started(
        LivenessLoop.watch([host("goes"), host("moves"), host("stays")], { changes: Stream.fromQueue(changes) }).pipe(
          Effect.provide(probe.layer)
        )
      )
      yield* TestClock.adjust("1 second")
      yield* change(changes, [host("stays"), Object.assign(host("moves"), { address: "moved-to" })])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(probe.interrupted(), 2)
      assert.strictEqual(probe.startedAt("moved-to").length, 1)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide([SystemEventBus.layer, quiet])))

  // @spec system-liveness-loop
  // @ac AC-20
  it.effect("[system-liveness-loop/AC-20] that an edit breaks is logged, and the next good one is taken", () => {
    const logs = capturedLogs()
    return Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped({ suffix: ".yaml" })
      const write = (...names: ReadonlyArray<string>) =>
        fs.writeFileString(
          file,
          `hosts:\n${names.map((name) => `  - { name: ${name}, address: 127.0.0.1 }\n`).join("")}`
        )
      yield* write("a")
      const found = yield* Queue.unbounded<ReadonlyArray<string>>()
      const stream = yield* Inventory.follow(file)
      yield* stream.pipe(
        Stream.runForEach(({ hosts }) => Queue.offer(found, hosts.map(({ name }) => name))),
        Effect.forkChild
      )
      // Files are real: the clock goes on until something has been noticed.
      const until = (isNoticed: () => boolean) =>
        Effect.gen(function*() {
          while (!isNoticed()) {
            yield* TestClock.adjust("2 seconds")
            yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
          }
        })
      const next = Effect.andThen(until(() => Queue.sizeUnsafe(found) > 0), Queue.take(found))
      assert.deepStrictEqual(yield* next, ["a"])
      yield* write("a", "b", "c")
      assert.deepStrictEqual(yield* next, ["a", "b", "c"])
      yield* fs.writeFileString(file, "hosts: [{ name: a }]\n")
      yield* until(() => logs.messages.length > 0)
      yield* fs.writeFileString(`${file}.new`, "hosts: [{ name: d, address: 127.0.0.1 }]\n")
      yield* fs.rename(`${file}.new`, file)
      assert.deepStrictEqual(yield* next, ["d"])
      yield* fs.remove(file)
      yield* until(() => logs.messages.length > 1)
      assert.deepStrictEqual(logs.messages, [
        `Error inventory ${file}: hosts[0].address: Missing; the hosts stay as they were`,
        `Error inventory ${file}: no such file; the hosts stay as they were`
      ])
      assert.strictEqual(Queue.sizeUnsafe(found), 0)
      yield* write("e")
      assert.deepStrictEqual(yield* next, ["e"])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, logs.layer]))
  })
})

describe("an inventory that cannot be read for now", () => {
  // @spec system-liveness-loop
  // @ac AC-20
  it.effect("[system-liveness-loop/AC-20] is said once, and read once it can, without being touched", () => {
    const logs = capturedLogs()
    return Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped({ suffix: ".yaml" })
      yield* fs.writeFileString(file, "hosts: [{ name: a, address: 127.0.0.1 }]\n")
      // As for a user who is not root, whom no mode keeps out.
      let isDenied = true
      const denying: FileSystem.FileSystem = {
        ...fs,
        readFile: (path) =>
          isDenied
            ? Effect.fail(
              PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "readFile" })
            )
            : fs.readFile(path)
      }
      const found = yield* Queue.unbounded<number>()
      yield* Effect.flatMap(
        Inventory.follow(file),
        (stream) => Stream.runForEach(stream, ({ hosts }) => Queue.offer(found, hosts.length))
      ).pipe(
        Effect.provideService(FileSystem.FileSystem, denying),
        Effect.forkChild
      )
      const look = Effect.andThen(
        TestClock.adjust("2 seconds"),
        Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      )
      while (logs.messages.length === 0) yield* look
      for (let n = 0; n < 10; n++) yield* look
      assert.deepStrictEqual(logs.messages, [
        `Error inventory ${file}: permission to read it denied; the hosts stay as they were`
      ])
      isDenied = false
      while (Queue.sizeUnsafe(found) === 0) yield* look
      assert.strictEqual(yield* Queue.take(found), 1)
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, logs.layer]))
  })
})

describe("a fault of this machine", () => {
  const outage = Effect.fail(
    new SqlError.SqlError({ reason: new SqlError.ConnectionError({ cause: new Error("gone"), message: "gone" }) })
  )
  const hour = 3_600_000
  const fault = { answers: false, reason: new Probe.LocalFault({ code: "EMFILE" }) }

  // @spec system-liveness-loop
  // @ac AC-10
  it.effect("[system-liveness-loop/AC-10] says nothing about the host", () =>
    Effect.gen(function*() {
      const logs = capturedLogs()
      const probe = scripted(() => [down, fault, fault, fault, up, down, fault, up])
      const subscription = yield* subscribed
      const fiber = yield* started(
        LivenessLoop.watch([host("a")]).pipe(Effect.provide([probe.layer, logs.layer]))
      )
      yield* TestClock.adjust("7 minutes")
      const pulses = yield* subscription.takeUpTo(100)
      assert.deepStrictEqual(summaries([host("a")], pulses).map(({ change }) => change), [[null, true]])
      const warning =
        "Warn a (a:22) was not probed: this machine could not probe it (EMFILE); hosts that cannot be judged keep their states"
      assert.deepStrictEqual(logs.messages, [
        warning,
        "Info This machine can probe again; 3 probes were void",
        warning
      ])
      const [, second, third, fourth, fifth] = probe.startedAt("a")
      assert.deepStrictEqual([third! - second!, fourth! - third!, fifth! - fourth!], [10_000, 10_000, 10_000])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* subscription.takeUpTo(100), [])
      assert.deepStrictEqual(logs.messages.slice(3), ["Info This machine can probe again; 1 probe was void"])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(SystemEventBus.layer), Effect.scoped))

  // @spec system-liveness-loop
  // @ac AC-10
  it.effect("[system-liveness-loop/AC-10] a host that could not be judged for three intervals is stored as such", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("a"), host("b")]
      const probe = scripted((name) => name === "a" ? [up, fault] : [up])
      yield* watchFor("14 minutes", probe, hosts, { hostStates })
      const isJudged = Effect.map(hostStates.probes, (probes) => hosts.map(({ id }) => probes.get(id)?.isJudged))
      assert.deepStrictEqual(yield* isJudged, [true, true])
      const fiber = yield* started(
        LivenessLoop.watch(hosts, { hostStates }).pipe(
          Effect.provide([scripted((name) => name === "a" ? [fault] : [up]).layer, quiet])
        )
      )
      yield* TestClock.adjust("16 minutes")
      assert.deepStrictEqual(yield* isJudged, [false, true])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped, Effect.provide(database)))

  // @spec system-liveness-loop
  // @ac AC-27
  it.effect("[system-liveness-loop/AC-27] time in which nothing ran, or the machine could not probe, is no part of the uptime", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("a")]
      const isIn = ({ since, until }: Uptime.Span, from: number, to: number) =>
        since >= from * hour && until <= to * hour
      yield* watchFor("1 hour", scripted(() => [up]), hosts, { hostStates })
      yield* TestClock.adjust("2 hours")
      // From the fourth hour on, for an hour and some more.
      const hourOfFaults = Array.from({ length: 400 }, () => fault)
      const later = scripted(() => [up, up, up, up, up, up, ...hourOfFaults, down, down, down, down, up])
      yield* watchFor("4 hours", later, hosts, { hostStates })
      const { probes, spans } = yield* (yield* HostHistory.HostHistory).of(hosts[0]!.id)
      const states = spans.map(({ reachable }) => reachable)
      assert.deepStrictEqual(states, [true, true, true, false, true], JSON.stringify(spans))
      const [first, second, , away, last] = spans as [Uptime.Span, Uptime.Span, Uptime.Span, Uptime.Span, Uptime.Span]
      assert.isTrue(isIn(first, 0, 1) && isIn(second, 3, 4) && isIn(away, 4, 6) && isIn(last, 4, 7))
      // It was known to be down from the second failure on, and up with the next answer.
      const failed = probes.filter(({ responseTimeMs }) => responseTimeMs === undefined)
      assert.strictEqual(failed.length, 4)
      assert.deepStrictEqual(spans[2], { since: failed[0]!.at, until: failed[1]!.at, reachable: true })
      assert.deepStrictEqual([away.since, away.until], [failed[1]!.at, last.since])
      const { reachable, unreachable } = Uptime.within(spans, 7 * hour, 7 * hour)
      assert.strictEqual(unreachable, away.until - away.since)
      assert.isBelow(reachable + unreachable, 5 * hour)
    }).pipe(Effect.scoped, Effect.provide(database)))

  // @spec system-liveness-loop
  // @ac AC-27
  it.effect("[system-liveness-loop/AC-27] a host that comes back while nothing runs was down until it was last looked at", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      const hosts = [host("a")]
      yield* watchFor("1 hour", scripted(() => [down]), hosts, { hostStates })
      yield* TestClock.adjust("2 hours")
      yield* watchFor("1 hour", scripted(() => [up]), hosts, { hostStates })
      const { probes, spans } = yield* (yield* HostHistory.HostHistory).of(hosts[0]!.id)
      const failed = probes.filter(({ responseTimeMs }) => responseTimeMs === undefined)
      const answered = probes.slice(failed.length)
      assert.deepStrictEqual(spans, [
        { since: failed[1]!.at, until: failed.at(-1)!.at, reachable: false },
        { since: answered[0]!.at, until: answered.at(-1)!.at, reachable: true }
      ])
      assert.isAtMost(spans[0]!.until, hour)
      assert.isAtLeast(spans[1]!.since, 3 * hour)
    }).pipe(Effect.scoped, Effect.provide(database)))

  // @spec system-liveness-loop
  // @ac AC-26
  it.effect("[system-liveness-loop/AC-26] the probes of an outage of the database are kept when it is over", () =>
    Effect.gen(function*() {
      const hostStates = yield* HostStates.HostStates
      let isAway = false
      let stored = 0
      const failing = {
        ...hostStates,
        recordProbes: (probes: ReadonlyArray<HostStates.ProbeReport>) =>
          isAway ? outage : Effect.tap(hostStates.recordProbes(probes), () => Effect.sync(() => stored++))
      }
      const hosts = [host("a")]
      const fiber = yield* started(
        LivenessLoop.watch(hosts, { hostStates: failing }).pipe(Effect.provide([scripted(() => [up]).layer, quiet]))
      )
      yield* TestClock.adjust("30 minutes")
      const before = stored
      isAway = true
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(stored, before)
      isAway = false
      yield* TestClock.adjust("30 minutes")
      yield* settled
      yield* Fiber.interrupt(fiber)
      const { probes, spans } = yield* (yield* HostHistory.HostHistory).of(hosts[0]!.id)
      const pauses = probes.slice(1).map(({ at }, n) => at - probes[n]!.at)
      assert.isAbove(probes.length, 15)
      assert.isTrue(pauses.every((pause) => pause > 0 && pause <= 360_000), String(pauses))
      assert.deepStrictEqual(spans.map(({ reachable, since }) => [reachable, since]), [[true, probes[0]!.at]])
    }).pipe(Effect.scoped, Effect.provide(database)))

  it.effect("that does not pass ends a check with an error, when all others are settled", () =>
    Effect.gen(function*() {
      const probe = scripted((name) => name === "a" ? [up] : name === "b" ? [fault, up] : [fault])
      const subscription = yield* subscribed
      const hosts = [host("a"), host("b"), host("c"), host("d")]
      const fiber = yield* started(
        LivenessLoop.settle(hosts).pipe(Effect.provide(probe.layer), Effect.provide(quiet))
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.message, "c and 1 more not probed: this machine could not probe it (EMFILE)")
      const pulses = yield* subscription.takeUpTo(100)
      assert.deepStrictEqual(summaries(hosts, pulses).map(({ change, host }) => [host, change[0], change[1]]), [
        ["a", null, true],
        ["b", null, true]
      ])
    }).pipe(Effect.provide(SystemEventBus.layer), Effect.scoped))

  it.live("is what too few file descriptors are: no host is called unreachable for them", () =>
    Effect.gen(function*() {
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        // Slow enough that probes wait beside one another.
        setTimeout(() => socket.end("SSH-2.0-test\r\n"), 50)
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const { port } = server.address() as Net.AddressInfo
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped({ suffix: ".yaml" })
      const entries = Array.from({ length: 200 }, (_, n) =>
        `  - { name: host-${n}, address: ${n % 2 === 0 ? "127.0.0.1" : "localhost"}, port: ${port} }\n`)
      yield* fs.writeFileString(file, `hosts:\n${entries.join("")}`)
      const handle = yield* ChildProcess.make(
        "bash",
        ["-c", "ulimit -n 48; exec \"$0\" \"$1\" check hosts \"$2\" --once --json", process.execPath, bin, file],
        { env: { PATH: process.env["PATH"] }, extendEnv: false, stdin: "ignore" }
      )
      const text = (stream: Stream.Stream<Uint8Array, unknown>) =>
        stream.pipe(Stream.decodeText(), Stream.mkString, Effect.orDie)
      const [stdout, stderr] = yield* Effect.all([text(handle.stdout), text(handle.stderr)], { concurrency: 2 })
      assert.include(stderr, "this machine could not probe it (E")
      const lines = stdout.trim().split("\n").map((line) =>
        JSON.parse(line)
      )
      const pulses = lines.filter(({ _tag }) => _tag === "HeartbeatPulse")
      assert.isTrue(pulses.every(({ reachable }) => reachable))
      assert.isAbove(pulses.length, 100)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)
})
