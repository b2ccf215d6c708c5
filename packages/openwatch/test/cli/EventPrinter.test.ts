import { assert, describe, it } from "@effect/vitest"
import { DriftDetected, HeartbeatPulse, Host, HostId, hostIdFromName, SystemEventBus } from "@openwatch/openwatch"
import { Console, DateTime, Effect, Layer, Schema } from "effect"
import { TerminalCapabilities } from "effect/cli"
import * as EventPrinter from "../../src/cli/EventPrinter.ts"

const web = new Host({ id: hostIdFromName("web-1"), name: "web-1", address: "10.0.0.11", port: 22 })
const db = new Host({ id: hostIdFromName("db-1"), name: "db-1", address: "2001:db8::1", port: 2222 })
const hosts = [web, db]

const occurredAt = DateTime.makeUnsafe("2026-03-04T22:06:07.891Z")

const pulse = (hostId: HostId, reachable: boolean, priorReachable: boolean | null) =>
  new HeartbeatPulse({ hostId, reachable, priorReachable, responseTimeMs: reachable ? 1.25 : 0, occurredAt })

const none = { critical: 0, high: 0, medium: 0, low: 0 }

const worse = new DriftDetected({
  hostId: web.id,
  scanId: "scan-1",
  driftType: "major",
  priorScore: 90.909,
  currentScore: 77.273,
  scoreDelta: -13.636,
  becameFailing: { critical: 0, high: 1, medium: 2, low: 0 },
  becamePassing: none,
  occurredAt
})

const better = new DriftDetected({
  hostId: web.id,
  scanId: "scan-2",
  driftType: "improvement",
  priorScore: 77,
  currentScore: 90.5,
  scoreDelta: 13.5,
  becameFailing: none,
  becamePassing: { critical: 1, high: 0, medium: 0, low: 0 },
  occurredAt
})

/** The lines that are printed when these events are published and everything is closed right after. */
const printed = (
  events: ReadonlyArray<typeof SystemEventBus.Event.Type>,
  options?: { readonly json?: boolean; readonly canColor?: boolean }
) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const publisher = Layer.effectDiscard(Effect.flatMap(SystemEventBus, (bus) => bus.publishAll(events)))
    yield* publisher.pipe(
      Layer.provide(EventPrinter.layer({ hosts: () => hosts, json: options?.json ?? false })),
      Layer.provide(SystemEventBus.layerWith({ drain: "10 seconds" })),
      Layer.build,
      Effect.scoped,
      Effect.provide(DateTime.layerCurrentZoneOffset(2 * 60 * 60 * 1_000)),
      Effect.provideService(TerminalCapabilities.TerminalCapabilities, {
        canColor: options?.canColor ?? false,
        canAnimate: false,
        canPrompt: false
      }),
      Effect.updateService(Console.Console, (console) =>
        Object.assign(Object.create(console) as typeof console, { log: (line: string) => lines.push(line) }))
    )
    return lines
  })

describe("for people", () => {
  it.effect.each(
    [
      [pulse(web.id, true, null), "web-1 (10.0.0.11:22) is reachable, answered in 1.25 ms"],
      [pulse(web.id, true, false), "web-1 (10.0.0.11:22) is reachable again, answered in 1.25 ms"],
      [pulse(web.id, false, true), "web-1 (10.0.0.11:22) is no longer reachable"],
      [pulse(db.id, false, null), "db-1 ([2001:db8::1]:2222) is not reachable"],
      [worse, "web-1 (10.0.0.11:22) drifted (major): score 90.91 to 77.27 (-13.64 points), 3 rules became failing"],
      [better, "web-1 (10.0.0.11:22) improved: score 77.00 to 90.50 (+13.50 points), 1 rule became passing"]
    ] as const
  )("an event is one line, in local time: %#", ([event, line]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* printed([event]))[0], `2026-03-05 00:06:07  ${line}`)
    }))

  it.effect("a host that is in no inventory is named by its id", () =>
    Effect.gen(function*() {
      const id = HostId.make("0192d3a4-8f00-7cc0-9a51-3f6b8e0c1d2e")
      const [line] = yield* printed([pulse(id, true, null)])
      assert.strictEqual(line, `2026-03-05 00:06:07  ${id} is reachable, answered in 1.25 ms`)
    }))

  it.effect("what is pending at the end is printed, and then the counters", () =>
    Effect.gen(function*() {
      const lines = yield* printed([...Array.from({ length: 500 }, () => pulse(web.id, true, null)), worse])
      assert.strictEqual(lines.length, 502)
      assert.match(lines[500]!, /drifted/)
      assert.strictEqual(
        lines[501],
        "501 events published (HeartbeatPulse 500, DriftDetected 1), 501 delivered, 0 dropped, 0 without a subscriber"
      )
    }))

  it.effect("colors are used where the terminal has them", () =>
    Effect.gen(function*() {
      const events = [pulse(web.id, true, null), pulse(web.id, false, true)]
      const plain = yield* printed(events)
      const colored = yield* printed(events, { canColor: true })
      assert.notInclude(plain.join(), "\u001b")
      assert.include(colored[0], "\u001b[32mis reachable, answered in 1.25 ms\u001b[0m")
      assert.include(colored[1], "\u001b[31mis no longer reachable\u001b[0m")
    }))
})

describe("as JSON", () => {
  it.effect("each line is an event as every bridge writes it, and the last one the counters", () =>
    Effect.gen(function*() {
      const events = [pulse(web.id, true, null), worse]
      const lines = yield* printed(events, { json: true, canColor: true })
      const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(SystemEventBus.EventJson))
      assert.deepStrictEqual(yield* Effect.forEach(lines.slice(0, 2), (line) => decode(line)), events)
      assert.deepStrictEqual(lines.slice(2).map((line) => JSON.parse(line)), [{
        version: 1,
        _tag: "Counters",
        publishedCount: 2,
        deliveredCount: 2,
        droppedCount: 0,
        noSubscribersCount: 0,
        publishedByKind: { HeartbeatPulse: 1, DriftDetected: 1 }
      }])
    }))
})
