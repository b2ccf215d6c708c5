import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Schema } from "effect"
import type { HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { type Frame, Ping, ping, readEvents, request, server, settle, TestBus } from "./fixture.ts"

// Thousands of events over real sockets: a busy machine is given time.
vi.setConfig({ testTimeout: 60_000 })

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

const encodePing = Schema.encodeEffect(Schema.toCodecJson(Ping))

const texts = (frames: ReadonlyArray<Frame>) =>
  frames.map(({ data, event }) => event === "bus-event" ? data.text : `${event} ${data.missed}`)

const pings = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => ping(from + i))

describe("the stream of events", () => {
  it.effect("sends each event as the bus's codec writes it, numbered", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const reader = yield* readEvents()
      yield* bus.publish(ping("a"))
      const [first] = yield* reader.atLeast(1)
      assert.deepStrictEqual(first, {
        id: "0-1",
        event: "bus-event",
        data: { _tag: "Ping", text: "a", occurredAt: "2026-01-01T00:00:00.000Z" }
      })
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("says what an event tells, where it was told how", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      yield* (yield* TestBus).publish(ping("a"))
      const [first] = yield* reader.atLeast(1)
      assert.deepStrictEqual(first?.data, {
        _tag: "Ping",
        text: "a",
        occurredAt: "2026-01-01T00:00:00.000Z",
        sentence: "Somebody said a"
      })
    }).pipe(
      Effect.scoped,
      Effect.provide(server({ describe: (event: Ping) => `Somebody said ${event.text}` }))
    ))

  it.effect("starts with what was before the start, in its order, and then what comes", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      yield* (yield* TestBus).publish(ping("now"))
      assert.deepStrictEqual(texts(yield* reader.atLeast(3)), ["first", "second", "now"])
    }).pipe(
      Effect.scoped,
      Effect.provide(server({ past: Effect.succeed([ping("first"), ping("second")]) }))
    ))

  it.effect("shows once what comes while what was before is read", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      // Read before, it comes by the bus as well.
      yield* (yield* TestBus).publishAll([ping("just stored"), ping("next")])
      assert.deepStrictEqual(texts(yield* reader.atLeast(2)), ["just stored", "next"])
      yield* (yield* TestBus).publish(ping("just stored"))
      assert.deepStrictEqual(texts(yield* reader.atLeast(3)), ["just stored", "next", "just stored"])
    }).pipe(Effect.scoped, Effect.provide(server({ past: Effect.succeed([ping("just stored")]) }))))

  it.effect("shows what comes although what was before the start cannot be read, and logs why", () => {
    const messages: Array<unknown> = []
    return Effect.gen(function*() {
      const reader = yield* readEvents()
      yield* (yield* TestBus).publish(ping("now"))
      assert.deepStrictEqual(texts(yield* reader.atLeast(1)), ["now"])
      assert.match(String(messages), /test\/Bus shows no events from before its start.*the database is away/s)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        server({ past: Effect.die(new Error("the database is away")) }).pipe(
          Layer.provide(Logger.layer([Logger.map(Logger.formatLogFmt, (line) => messages.push(line))]))
        )
      )
    )
  })

  it.effect("waits for what was before the start for ten seconds, and then shows what came meanwhile", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      yield* (yield* TestBus).publish(ping("now"))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(texts(yield* reader.atLeast(1)), ["now"])
    }).pipe(Effect.scoped, Effect.provide(server({ past: Effect.never })), Effect.provide(Logger.layer([]))))

  it.effect("goes on after a description that throws something that is no text", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      yield* (yield* TestBus).publishAll([ping("bad"), ping("good")])
      const frames = yield* reader.atLeast(2)
      assert.strictEqual(frames[0]!.data.unencodable, "{}")
      assert.strictEqual(frames[1]!.data.sentence, "fine")
    }).pipe(
      Effect.scoped,
      Effect.provide(server({
        describe: ({ text }: Ping) => {
          if (text === "bad") throw Object.create(null)
          return "fine"
        }
      }))
    ))

  it.effect("an event of more than 100,000 characters is not held: its kind, its time and its size are", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      const longest = "x".repeat(100_000 - JSON.stringify(yield* encodePing(ping(""))).length)
      yield* (yield* TestBus).publishAll([ping(longest), ping(`${longest}x`)])
      const [held, told] = yield* reader.atLeast(2)
      assert.strictEqual(held!.data.text, longest)
      assert.deepStrictEqual(told!.data, {
        _tag: "Ping",
        occurredAt: "2026-01-01T00:00:00.000Z",
        tooLarge: "it has 100001 characters, more than 100000"
      })
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("starts with what is kept: the last 1,000", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      for (const event of pings(1, 2500)) {
        yield* bus.publish(event)
        yield* Effect.yieldNow
      }
      const reader = yield* readEvents()
      yield* bus.publish(ping("next"))
      const frames = yield* reader.until((frames) => frames.at(-1)?.data.text === "next")
      assert.deepStrictEqual(texts(frames), [...pings(1501, 2500).map(({ text }) => text), "next"])
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("a line break in an event stays inside it", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      yield* (yield* TestBus).publish(ping("a\n\nevent: gap\ndata: {}\r\n\r\n\u2028b"))
      assert.deepStrictEqual(texts(yield* reader.atLeast(1)), ["a\n\nevent: gap\ndata: {}\r\n\r\n\u2028b"])
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("says something every 15 seconds, so that a dead peer is noticed", () =>
    Effect.gen(function*() {
      const reader = yield* readEvents()
      const heard = yield* Effect.forkChild(Effect.callback<string>((resume) => {
        reader.socket.on("data", (bytes: Buffer) => {
          const text = bytes.toString()
          if (text.includes(":\n\n")) resume(Effect.succeed(text))
        })
      }))
      yield* settle
      yield* TestClock.adjust("15 seconds")
      assert.include(yield* Fiber.join(heard), ":\n\n")
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("ends when the bus is shut down, after what was accepted", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const reader = yield* readEvents()
      yield* bus.publish(ping("last"))
      yield* bus.shutdown
      yield* Effect.callback<void>((resume) => {
        reader.socket.on("close", () => resume(Effect.void))
      })
      assert.deepStrictEqual(texts(reader.frames), ["last"])
    }).pipe(Effect.scoped, Effect.provide(server())))
})

describe("coming back", () => {
  for (const how of ["header", "query"] as const) {
    it.effect(`goes on after the id given in the ${how}`, () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        yield* bus.publishAll(pings(1, 5))
        yield* settle
        const reader = yield* readEvents(
          how === "header" ? { headers: { "last-event-id": "0-3" } } : { path: "/api/events?lastEventId=0-3" }
        )
        yield* bus.publish(ping(6))
        assert.deepStrictEqual(texts(yield* reader.atLeast(3)), ["4", "5", "6"])
      }).pipe(Effect.scoped, Effect.provide(server())))
  }

  it.effect("with an id that is no longer kept: a gap that counts what is gone, then what is kept", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      for (const event of pings(1, 1200)) {
        yield* bus.publish(event)
        yield* Effect.yieldNow
      }
      const reader = yield* readEvents({ headers: { "last-event-id": "0-50" } })
      const frames = yield* reader.atLeast(1001)
      assert.deepStrictEqual(texts(frames).slice(0, 3), ["gap 150", "201", "202"])
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("with the id just before the oldest that is kept: nothing is missing", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      for (const event of pings(1, 1200)) {
        yield* bus.publish(event)
        yield* Effect.yieldNow
      }
      const reader = yield* readEvents({ headers: { "last-event-id": "0-200" } })
      assert.deepStrictEqual(texts(yield* reader.atLeast(1000)).slice(0, 2), ["201", "202"])
    }).pipe(Effect.scoped, Effect.provide(server())))

  for (
    const [what, id] of [
      ["of another start", "zz-2"],
      ["from the future", "0-7"],
      ["that is nonsense", "0-1-1"],
      ["that is markup", "<img src=x>"]
    ] as const
  ) {
    it.effect(`with an id ${what}: a gap of unknown size, then what is kept`, () =>
      Effect.gen(function*() {
        const bus = yield* TestBus
        yield* bus.publishAll(pings(1, 2))
        yield* settle
        const reader = yield* readEvents({ headers: { "last-event-id": id } })
        assert.deepStrictEqual(texts(yield* reader.atLeast(3)), ["gap null", "1", "2"])
      }).pipe(Effect.scoped, Effect.provide(server())))
  }
})

describe("losing events", () => {
  it.effect("a flood that the inspector cannot follow shows as a hole, counted", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const reader = yield* readEvents()
      yield* bus.publishAll(pings(1, 3000))
      const frames = yield* reader.until((frames) => frames.at(-1)?.data.text === "3000")
      assert.strictEqual(frames[0]!.event, "lost")
      const shown = frames.filter(({ event }) => event === "bus-event").length
      const missed = frames.reduce((sum, { data, event }) => event === "lost" ? sum + data.missed : sum, 0)
      assert.strictEqual(shown + missed, 3000)
      assert.strictEqual(frames.at(-1)!.id, "0-3000")
    }).pipe(Effect.scoped, Effect.provide(server())))

  it.effect("a client that does not read loses its own events, is told how many, and costs nobody else any", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const sleeping = yield* readEvents()
      const awake = yield* readEvents()
      yield* sleeping.pause
      // More than the kernel's and Node's buffers of one connection take up.
      const text = "x".repeat(20_000)
      const total = 3000
      for (let n = 1; n <= total; n += 100) {
        yield* bus.publishAll(pings(n, n + 99).map((event) => ping(`${event.text} ${text}`)))
        yield* awake.until((frames) => frames.length >= n + 99)
      }
      assert.isTrue(awake.frames.every(({ event }) => event === "bus-event"))
      yield* sleeping.resume
      const frames = yield* sleeping.until((frames) => frames.at(-1)?.id === `0-${total}`)
      const missed = frames.reduce((sum, { data, event }) => event === "lost" ? sum + data.missed : sum, 0)
      assert.isAbove(missed, 0)
      assert.strictEqual(frames.filter(({ event }) => event === "bus-event").length + missed, total)
    }).pipe(Effect.scoped, Effect.provide(server())))
})

/** Bytes in use, when nothing is left to collect. */
const heap = Effect.gen(function*() {
  yield* settle
  collectGarbage()
  yield* settle
  collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
})

describe("1,000 clients", () => {
  const clients: Effect.Effect<number, Error, HttpServer.HttpServer> = Effect.map(
    request("/api/bus"),
    ({ text }) => JSON.parse(text).clients
  )

  const round = Effect.fnUntraced(function*(name: string) {
    const bus = yield* TestBus
    yield* Effect.scoped(Effect.gen(function*() {
      const readers = yield* Effect.replicateEffect(readEvents(), 1000)
      assert.strictEqual(yield* clients, 1000)
      yield* bus.publishAll(pings(1, 20).map(({ text }) => ping(`${name} ${text}`)))
      yield* Effect.forEach(readers, (reader) => reader.until((frames) => frames.at(-1)?.data.text === `${name} 20`))
      for (const { frames } of readers) {
        assert.deepStrictEqual(texts(frames.slice(-20)), pings(1, 20).map(({ text }) => `${name} ${text}`))
      }
    }))
    yield* Effect.repeat(clients, { until: (count) => count === 0 })
  })

  it.effect("all receive everything, and leave nothing behind", () =>
    Effect.gen(function*() {
      yield* round("first")
      const before = yield* heap
      yield* round("second")
      // A thousand came and went: a kilobyte of each would be twice this.
      assert.isBelow((yield* heap) - before, 500_000)
    }).pipe(Effect.provide(server())), 120_000)
})

describe("a client that stays", () => {
  it.effect("does not hold the events that it found when it came", () =>
    Effect.gen(function*() {
      const bus = yield* TestBus
      const text = "x".repeat(4000)
      const fillRing = Effect.forEach(pings(1, 1000), (event) =>
        Effect.andThen(bus.publish(ping(`${event.text} ${text}`)), Effect.yieldNow), { discard: true })
      yield* fillRing
      const before = yield* heap
      for (let i = 0; i < 4; i++) {
        const reader = yield* readEvents()
        yield* reader.atLeast(1000)
        // The reader is a client in this very process: what it keeps is not the server's.
        yield* reader.forget
        yield* fillRing
      }
      // A ring is 4 MB: four of them would be 16.
      assert.isBelow((yield* heap) - before, 4_000_000)
    }).pipe(Effect.scoped, Effect.provide(server())), 120_000)
})
