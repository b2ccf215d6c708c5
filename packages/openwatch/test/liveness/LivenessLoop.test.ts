import { assert, describe, it } from "@effect/vitest"
import { HeartbeatPulse, type Host, hostIdFromName, LivenessLoop, Probe, SystemEventBus } from "@openwatch/openwatch"
import { Clock, DateTime, Duration, Effect, Fiber, Layer, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { capturedLogs, down, host, quiet, scripted, started, subscribed, summaries, up } from "./fixture.ts"

const gaps = (times: ReadonlyArray<number>): Array<number> => times.slice(1).map((time, n) => time - times[n]!)

describe("watch", () => {
  /** Watches hosts for some time, and gives the pulses published meanwhile. */
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
      const pulses = yield* subscription.takeUpTo(100_000)
      yield* Fiber.interrupt(fiber)
      return pulses
    }).pipe(Effect.provide([SystemEventBus.layer, probe.layer]), Effect.provide(quiet), Effect.scoped)

  // @spec system-liveness-loop
  // @ac AC-07
  it.effect("[system-liveness-loop/AC-07] a host that answers is published once, at once, as a first sighting", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: true, after: "250 millis" }])
      const pulses = yield* watchFor("1 hour", probe, [host("a")])
      assert.deepStrictEqual(pulses, [
        new HeartbeatPulse({
          hostId: hostIdFromName("a"),
          reachable: true,
          priorReachable: null,
          responseTimeMs: 250,
          change: "reachable",
          host: { name: "a", address: "a:22" },
          occurredAt: DateTime.makeUnsafe(250)
        })
      ])
      assert.isAbove(probe.startedAt("a").length, 10)
    }))

  // @spec system-liveness-loop
  // @ac AC-08
  it.effect("[system-liveness-loop/AC-08] a host that does not answer is published at the second failure, with no response time", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: false, after: "250 millis" }])
      const pulses = yield* watchFor("1 hour", probe, [host("a")])
      assert.deepStrictEqual(pulses, [
        new HeartbeatPulse({
          hostId: hostIdFromName("a"),
          reachable: false,
          priorReachable: null,
          responseTimeMs: 0,
          change: "unreachable",
          reason: { code: "ConnectionRefused", text: "connection refused" },
          host: { name: "a", address: "a:22" },
          occurredAt: DateTime.makeUnsafe(probe.startedAt("a")[1]! + 250)
        })
      ])
    }))

  // @spec system-liveness-loop
  // @ac AC-09
  it.effect("[system-liveness-loop/AC-09] only transitions are published", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [up, down, up, down, down, down, up, up])
      const hosts = [host("a")]
      const pulses = yield* watchFor("1 hour", probe, hosts)
      const seconds = probe.startedAt("a").map((time) => Math.floor(time / 1_000))
      assert.deepStrictEqual(summaries(hosts, pulses), [
        { host: "a", change: [null, true], second: 0 },
        { host: "a", change: [true, false], second: seconds[4]! },
        { host: "a", change: [false, true], second: seconds[6]! }
      ])
    }))

  // @spec system-liveness-loop
  // @ac AC-08
  it.effect("[system-liveness-loop/AC-08] as many failures in a row are needed as is set", () =>
    Effect.gen(function*() {
      const hosts = [host("a")]
      const one = yield* watchFor("1 hour", scripted(() => [down]), hosts, { failureThreshold: 1 })
      assert.deepStrictEqual(summaries(hosts, one), [{ host: "a", change: [null, false], second: 0 }])
    }))

  it.effect("one host's failures are not another's", () =>
    Effect.gen(function*() {
      const hosts = [host("a"), host("b"), host("c")]
      const probe = scripted((name) => name === "b" ? [up] : [down, up])
      const pulses = yield* watchFor("10 minutes", probe, hosts)
      assert.sameDeepMembers(summaries(hosts, pulses).map(({ change, host }) => [host, change]), [
        ["a", [null, true]],
        ["b", [null, true]],
        ["c", [null, true]]
      ])
    }))

  // @spec system-liveness-loop
  // @ac AC-11
  it.effect("[system-liveness-loop/AC-11] hosts are probed at once, then every interval give or take a fifth, and not in step", () =>
    Effect.gen(function*() {
      const hosts = Array.from({ length: 20 }, (_, n) => host(`web-${n}`))
      const probe = scripted(() => [{ answers: true, after: "3 seconds" }])
      yield* watchFor("10 hours", probe, hosts, { interval: Duration.minutes(5) })
      for (const { name } of hosts) {
        const times = probe.startedAt(name)
        assert.strictEqual(times[0], 0)
        assert.isAtLeast(times.length, 100)
        assert.isAtMost(times.length, 150)
        for (const gap of gaps(times)) {
          assert.isAtLeast(gap, 240_000)
          assert.isAtMost(gap, 360_000)
        }
      }
      const secondProbes = new Set(hosts.map(({ name }) => probe.startedAt(name)[1]))
      assert.strictEqual(secondProbes.size, hosts.length)
      assert.isAbove(new Set(gaps(probe.startedAt("web-0"))).size, 90)
    }))

  // @spec system-liveness-loop
  // @ac AC-11
  it.effect("[system-liveness-loop/AC-11] the same host is probed at the same times in another run", () =>
    Effect.gen(function*() {
      const first = scripted(() => [up])
      yield* watchFor("5 hours", first, [host("a"), host("b")])
      const second = scripted(() => [up])
      const start = yield* Clock.currentTimeMillis
      yield* watchFor("5 hours", second, [host("b"), host("c"), host("a")])
      for (const name of ["a", "b"]) {
        assert.deepStrictEqual(second.startedAt(name).map((time) => time - start), [...first.startedAt(name)])
      }
    }))

  // @spec system-liveness-loop
  // @ac AC-13
  it.effect("[system-liveness-loop/AC-13] a host whose probe outlasts the interval is probed again after it, never beside it", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: true, after: "10 minutes" }])
      yield* watchFor("1 hour", probe, [host("a")], { interval: Duration.minutes(1) })
      assert.strictEqual(probe.most.ofOneHost, 1)
      assert.deepStrictEqual(gaps(probe.startedAt("a")), Array.from({ length: 6 }, () => 600_000))
    }))

  // @spec system-liveness-loop
  // @ac AC-14
  it.effect.each([[undefined, 64], [3, 3]] as const)(
    "[system-liveness-loop/AC-14] with maxInFlight %s no more than %s probes run at a time, and every host has its turn",
    ([maxInFlight, limit]) =>
      Effect.gen(function*() {
        const hosts = Array.from({ length: 200 }, (_, n) => host(`web-${n}`))
        const probe = scripted(() => [{ answers: true, after: "1 seconds" }])
        yield* watchFor("200 seconds", probe, hosts, { maxInFlight })
        assert.strictEqual(probe.most.atATime, limit)
        assert.strictEqual(probe.probedHosts(), 200)
      })
  )

  it.effect("the time that a host waits for its turn is not its response time", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: true, after: "1 seconds" }])
      const pulses = yield* watchFor("10 seconds", probe, [host("a"), host("b"), host("c")], { maxInFlight: 1 })
      assert.deepStrictEqual(pulses.map(({ responseTimeMs }) => responseTimeMs), [1_000, 1_000, 1_000])
    }))

  // @spec system-liveness-loop
  // @ac AC-12
  it.effect.each(
    [
      ["59 seconds", "the interval is 59s; expected 1m to 1h"],
      ["3601 seconds", "the interval is 1h 1s; expected 1m to 1h"]
    ] as const
  )(
    "[system-liveness-loop/AC-12] an interval of %s is refused",
    ([asked, message]) =>
      Effect.gen(function*() {
        const probe = scripted(() => [up])
        const error = yield* LivenessLoop.watch([host("a")], { interval: Duration.fromInputUnsafe(asked) }).pipe(
          Effect.provide([SystemEventBus.layer, probe.layer]),
          Effect.flip
        )
        assert.instanceOf(error, LivenessLoop.InvalidInterval)
        assert.strictEqual(error.message, message)
        assert.strictEqual(probe.probedHosts(), 0)
      })
  )

  // @spec system-liveness-loop
  // @ac AC-21
  it.effect("[system-liveness-loop/AC-21] a host that has failed is looked at again after the retry interval, until there is a verdict", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [up, down, down, down, down])
      yield* watchFor("1 hour", probe, [host("a")], { failureThreshold: 3 })
      const [, , second, third, fourth] = gaps(probe.startedAt("a"))
      assert.deepStrictEqual(gaps(probe.startedAt("a")).slice(1, 3), [30_000, 30_000])
      assert.isAtLeast(third!, 240_000)
      assert.isDefined(second)
      assert.isDefined(fourth)
    }))

  // @spec system-liveness-loop
  // @ac AC-21
  it.effect(
    "[system-liveness-loop/AC-21] a host that dies is known within a minute of its next probe, while thousands are down",
    () =>
      Effect.gen(function*() {
        const slow = { answers: false, after: "5 seconds" } as const
        const hosts = [host("dies"), ...Array.from({ length: 150 }, (_, n) => host(`down-${n}`))]
        const probe = scripted((name) => name === "dies" ? [up, up, up, slow] : [slow])
        // More than half of four places can keep up with.
        const pulses = yield* watchFor("30 minutes", probe, hosts, { maxInFlight: 4 })
        const died = summaries(hosts, pulses).find(({ change, host }) => host === "dies" && change[1] === false)
        const failedAt = probe.startedAt("dies")[3]! / 1_000
        assert.isAtMost(died!.second - failedAt, 60)
      })
  )

  // @spec system-liveness-loop
  // @ac AC-22
  it.effect("[system-liveness-loop/AC-22] a host that changes often is told once, until it has kept its state for half an hour", () =>
    Effect.gen(function*() {
      const changing = Array.from({ length: 10 }, () => [down, down, up, up]).flat()
      const probe = scripted(() => [up, ...changing, down])
      const pulses = yield* watchFor("6 hours", probe, [host("a")], { interval: Duration.minutes(1) })
      assert.deepStrictEqual(pulses.map(({ change, reachable }) => [change, reachable]), [
        ["reachable", true],
        ["unreachable", false],
        ["reachable", true],
        ["unreachable", false],
        ["reachable", true],
        ["flapping", false],
        ["steady", false]
      ])
      const changedAt = probe.startedAt("a")[changing.length + 2]!
      const steadyAt = DateTime.toEpochMillis(pulses.at(-1)!.occurredAt)
      assert.isAtLeast(steadyAt - changedAt, 30 * 60_000)
      assert.isAtMost(steadyAt - changedAt, 32 * 60_000)
    }))

  // @spec system-liveness-loop
  // @ac AC-23
  it.effect("[system-liveness-loop/AC-23] a clock that is set back puts no probe off", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [up])
      const clock = yield* Clock.Clock
      let setBack = 0
      const shifted: Clock.Clock = {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - setBack,
        currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() - setBack),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() - BigInt(setBack) * 1_000_000n,
        currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() - BigInt(setBack) * 1_000_000n),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => clock.sleep(duration)
      }
      const changes = yield* Queue.unbounded<ReadonlyArray<Host>>()
      const fiber = yield* started(
        LivenessLoop.watch([host("stays"), host("comes-back")], { changes: Stream.fromQueue(changes) }).pipe(
          Effect.provide([SystemEventBus.layer, probe.layer, quiet]),
          Effect.provideService(Clock.Clock, shifted)
        )
      )
      yield* TestClock.adjust("3 hours")
      yield* Queue.offer(changes, [host("stays")])
      yield* TestClock.adjust("1 second")
      setBack = 7_200_000
      yield* Queue.offer(changes, [host("stays"), host("comes-back")])
      const before = ["stays", "comes-back"].map((name) => probe.startedAt(name).length)
      yield* TestClock.adjust("1 hour")
      yield* Fiber.interrupt(fiber)
      for (const [n, name] of ["stays", "comes-back"].entries()) {
        assert.isAtLeast(probe.startedAt(name).length - before[n]!, 10, name)
      }
    }))

  it.effect("the log says why a host is unreachable", () =>
    Effect.gen(function*() {
      const logs = capturedLogs()
      const fiber = yield* started(
        LivenessLoop.watch([host("a")]).pipe(
          Effect.provide([SystemEventBus.layer, scripted(() => [down]).layer, logs.layer])
        )
      )
      yield* TestClock.adjust("1 hour")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(logs.messages, ["Info a (a:22) did not answer: connection refused"])
    }))

  // @spec system-liveness-loop
  // @ac AC-15
  it.effect("[system-liveness-loop/AC-15] an interruption ends the probes in flight, and none follows", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: true, after: "1 minute" }])
      const fiber = yield* started(
        LivenessLoop.watch([host("a"), host("b"), host("c")], { maxInFlight: 2 }).pipe(
          Effect.provide([SystemEventBus.layer, probe.layer])
        )
      )
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 hours")
      assert.strictEqual(probe.interrupted(), 2)
      assert.strictEqual(probe.probedHosts(), 2)
    }))

  it.effect("a defect of the probe ends it: a loop that is dead does not look alive", () =>
    Effect.gen(function*() {
      const broken = Layer.succeed(Probe.Probe, {
        resolve: (name) => Effect.succeed([name]),
        probe: ({ addresses: [address] }) =>
          address === "b" ? Effect.die(new Error("broken")) : Effect.succeed({ note: undefined })
      })
      const exit = yield* LivenessLoop.watch([host("a"), host("b")]).pipe(
        Effect.provide([SystemEventBus.layer, broken]),
        Effect.catchDefect((defect) => Effect.succeed(String(defect)))
      )
      assert.strictEqual(exit, "Error: broken")
    }))
})

describe("settle", () => {
  const settled = (probe: ReturnType<typeof scripted>, hosts: ReadonlyArray<Host>, options?: LivenessLoop.Options) =>
    Effect.gen(function*() {
      const subscription = yield* subscribed
      const fiber = yield* started(LivenessLoop.settle(hosts, options))
      yield* TestClock.adjust("1 hour")
      assert.isDefined(fiber.pollUnsafe())
      yield* Fiber.join(fiber)
      return summaries(hosts, yield* subscription.takeUpTo(100_000))
    }).pipe(Effect.provide([SystemEventBus.layer, probe.layer]), Effect.provide(quiet), Effect.scoped)

  it.effect("a host that answers is probed once", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [up])
      assert.deepStrictEqual(yield* settled(probe, [host("a")]), [{ host: "a", change: [null, true], second: 0 }])
      assert.deepStrictEqual(probe.startedAt("a"), [0])
    }))

  it.effect("a host that does not is probed again a second after", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [{ answers: false, after: "5 seconds" }])
      assert.deepStrictEqual(yield* settled(probe, [host("a")]), [{ host: "a", change: [null, false], second: 11 }])
      assert.deepStrictEqual(probe.startedAt("a"), [0, 6_000])
    }))

  it.effect("a host that answers the second time is reachable", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [down, up])
      assert.deepStrictEqual(yield* settled(probe, [host("a")]), [{ host: "a", change: [null, true], second: 1 }])
      assert.deepStrictEqual(probe.startedAt("a"), [0, 1_000])
    }))

  it.effect("a host is probed until its failures are as many as is set", () =>
    Effect.gen(function*() {
      const probe = scripted(() => [down])
      yield* settled(probe, [host("a")], { failureThreshold: 4 })
      assert.deepStrictEqual(probe.startedAt("a"), [0, 1_000, 2_000, 3_000])
    }))

  it.effect("the second that a host waits holds up no other", () =>
    Effect.gen(function*() {
      const probe = scripted((name) => name === "a" ? [down] : [up])
      yield* settled(probe, [host("a"), host("b")], { maxInFlight: 1 })
      assert.deepStrictEqual(probe.startedAt("b"), [0])
    }))
})

describe("jittered", () => {
  const Interval = Schema.Int.check(Schema.isBetween({ minimum: 60_000, maximum: 3_600_000 }))
  const N = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

  it.effect.prop(
    "is within a fifth of the interval, and always the same",
    [Interval, N, N],
    ([millis, name, n]) =>
      Effect.gen(function*() {
        const interval = Duration.millis(millis)
        const pause = yield* LivenessLoop.jittered(interval, hostIdFromName(`web-${name}`), n)
        assert.isAtLeast(Duration.toMillis(pause), millis * 0.8)
        assert.isAtMost(Duration.toMillis(pause), millis * 1.2)
        assert.deepStrictEqual(yield* LivenessLoop.jittered(interval, hostIdFromName(`web-${name}`), n), pause)
      })
  )

  it.effect("spreads a fleet over all of that", () =>
    Effect.gen(function*() {
      const tenths = new Map<number, number>()
      for (let n = 0; n < 1_000; n++) {
        const pause = yield* LivenessLoop.jittered(Duration.seconds(100), hostIdFromName(`web-${n}`), 0)
        const tenth = Math.floor((Duration.toSeconds(pause) - 80) / 4)
        tenths.set(tenth, (tenths.get(tenth) ?? 0) + 1)
      }
      assert.strictEqual(tenths.size, 10)
      for (const count of tenths.values()) assert.isAbove(count, 50)
    }))
})
