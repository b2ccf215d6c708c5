import { assert, describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Duration, Effect, Layer, Logger, ManagedRuntime, References, Schedule, Scheduler } from "effect"
import { getEventListeners } from "node:events"
import { type Ping, ping, type Pong, pong, settle, TestBus } from "./fixture.ts"

/** A promise and what settles it, as a callback API would have it. */
const signal = () => Promise.withResolvers<void>()

describe("a bus outside Effect", () => {
  const withBus = (
    test: (
      bus: EventBus.Callbacks<Ping | Pong>,
      runtime: ManagedRuntime.ManagedRuntime<TestBus, never>
    ) => Promise<void>
  ) =>
  async () => {
    const runtime = ManagedRuntime.make(TestBus.layer)
    try {
      // As an application without Effect would: synchronously.
      await test(runtime.runSync(Effect.flatMap(TestBus, EventBus.toCallbacks)), runtime)
    } finally {
      await runtime.dispose()
    }
  }

  it(
    "a callback is live when subscribe returns, and publishing does not run it",
    withBus(async (bus) => {
      const seen: Array<number> = []
      const third = signal()
      bus.subscribe("Ping", (event) => {
        seen.push(event.n)
        if (event.n === 3) third.resolve()
      })
      bus.publish(ping(1))
      bus.publish(ping(2))
      assert.deepStrictEqual(seen, [])
      bus.publish(ping(3))
      await third.promise
      assert.deepStrictEqual(seen, [1, 2, 3])
    })
  )

  it(
    "nothing arrives after unsubscribe, which is idempotent",
    withBus(async (bus) => {
      const seen: Array<number> = []
      const last = signal()
      const unsubscribe = bus.subscribe(["Ping", "Pong"], (event) => {
        seen.push(event.n)
      })
      bus.publish(ping(1))
      unsubscribe()
      unsubscribe()
      bus.publish(ping(2))
      bus.subscribe("Pong", () => last.resolve())
      bus.publish(pong(3))
      await last.promise
      assert.deepStrictEqual(seen, [])
    })
  )

  it(
    "a callback that answers a promise is waited for; one that throws or rejects does not end the subscription",
    withBus(async (bus, runtime) => {
      const log: Array<string> = []
      const done = signal()
      bus.subscribe("Ping", (event) => {
        log.push(`start ${event.n}`)
        if (event.n === 0) return undefined
        if (event.n === 2) throw new Error("thrown")
        if (event.n === 3) return Promise.reject(new Error("rejected"))
        return Promise.resolve().then(() => {
          log.push(`end ${event.n}`)
          if (event.n === 4) done.resolve()
        })
      }, { name: "waiting" })
      for (const n of [0, 1, 2, 3, 4]) bus.publish(ping(n))
      await done.promise
      assert.deepStrictEqual(log, ["start 0", "start 1", "end 1", "start 2", "start 3", "start 4", "end 4"])
      const snapshots = await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions))
      assert.deepInclude(snapshots[0], { name: "waiting", failures: 2, handled: 2 })
    })
  )

  it(
    "a callback may unsubscribe itself",
    withBus(async (bus, runtime) => {
      const seen: Array<number> = []
      const left = signal()
      const unsubscribe = bus.subscribe("Ping", (event) => {
        seen.push(event.n)
        unsubscribe()
        left.resolve()
      })
      bus.publish(ping(1))
      bus.publish(ping(2))
      await left.promise
      await runtime.runPromise(settle)
      assert.deepStrictEqual(seen, [1])
      assert.deepStrictEqual(await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions)), [])
    })
  )

  it(
    "unsubscribing is done when it returns, also where fibers give way after a few steps",
    withBus(async (_, runtime) => {
      const bus = runtime.runSync(
        Effect.provideService(Effect.flatMap(TestBus, EventBus.toCallbacks), Scheduler.MaxOpsBeforeYield, 3)
      )
      const unsubscribe = bus.subscribe("Ping", () => {})
      unsubscribe()
      assert.deepStrictEqual(await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions)), [])
    })
  )

  it(
    "a callback that unsubscribes itself and then fails is logged; its promise is no unhandled rejection",
    withBus(async (_, runtime) => {
      const logged: Array<unknown> = []
      const logger = Logger.make<unknown, void>(({ fiber, message }) => {
        logged.push([fiber.getRef(References.CurrentLogAnnotations)["subscription"], message])
      })
      const bus = runtime.runSync(
        Effect.flatMap(TestBus, EventBus.toCallbacks).pipe(Effect.provide(Logger.layer([logger])))
      )
      const subscribe = (name: string, fail: () => void | Promise<void>) => {
        const unsubscribe = bus.subscribe("Ping", () => {
          unsubscribe()
          return fail()
        }, { name })
      }
      subscribe("throws", () => {
        throw new Error("thrown")
      })
      subscribe("rejects", () => Promise.resolve().then(() => Promise.reject(new Error("rejected"))))
      bus.publish(ping(1))
      await runtime.runPromise(settle)
      assert.sameDeepMembers(logged, [
        ["throws", ["An event handler failed"]],
        ["rejects", ["An event handler failed"]]
      ])
    })
  )

  it(
    "publishing a foreign event throws",
    withBus(async (bus) => {
      assert.throws(() => bus.publish({ _tag: "Pung" } as never), TypeError, /"Pung"; the kinds are "Ping", "Pong"/)
    })
  )

  it(
    "an iterable is live when events returns, and ends when the bus is shut down",
    withBus(async (bus, runtime) => {
      const events = bus.events("Ping")
      bus.publish(ping(1))
      bus.publish(pong(2))
      bus.publish(ping(3))
      await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.shutdown))
      const seen: Array<number> = []
      for await (const event of events) seen.push(event.n)
      assert.deepStrictEqual(seen, [1, 3])
    })
  )

  it(
    "leaving the loop ends the subscription",
    withBus(async (bus, runtime) => {
      bus.publish(ping(0))
      const events = bus.events(["Ping"], { name: "loop" })
      bus.publish(ping(1))
      bus.publish(ping(2))
      for await (const event of events) {
        assert.strictEqual(event.n, 1)
        break
      }
      assert.deepStrictEqual(await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions)), [])
      assert.deepStrictEqual(await events.next(), { done: true, value: undefined })
    })
  )

  it(
    "close ends the wait for the next event as well",
    withBus(async (bus, runtime) => {
      const next = bus.next("Ping")
      await bus.close()
      assert.isUndefined(await next)
      assert.deepStrictEqual(await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions)), [])
      const afterwards = bus.next("Ping")
      bus.publish(ping(1))
      assert.strictEqual((await afterwards)?.n, 1)
    })
  )

  it(
    "return releases a reader that waits",
    withBus(async (bus) => {
      const events = bus.events("Ping")
      const waiting = events.next()
      await events.return()
      assert.deepStrictEqual(await waiting, { done: true, value: undefined })
    })
  )

  it(
    "disposing ends the subscription",
    withBus(async (bus, runtime) => {
      {
        await using _events = bus.events("Ping")
        assert.strictEqual((await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions))).length, 1)
      }
      assert.strictEqual((await runtime.runPromise(Effect.flatMap(TestBus, (bus) => bus.subscriptions))).length, 0)
    })
  )
})

describe("callbacks that end well", () => {
  const withCallbacks = (
    options: EventBus.Options,
    test: (bus: EventBus.Callbacks<Ping | Pong>, dispose: () => Promise<void>) => Promise<void>
  ) =>
  async () => {
    const runtime = ManagedRuntime.make(TestBus.layerWith(options).pipe(Layer.provide(Logger.layer([]))))
    const silent = Effect.provide(Effect.flatMap(TestBus, EventBus.toCallbacks), Logger.layer([]))
    try {
      await test(runtime.runSync(silent), () => runtime.dispose())
    } finally {
      await runtime.dispose()
    }
  }

  it(
    "the end of the bus lets callbacks finish, within the bus's drain",
    withCallbacks({ drain: "10 seconds" }, async (bus, dispose) => {
      const seen: Array<number> = []
      bus.subscribe("Ping", async ({ n }) => {
        await Promise.resolve()
        seen.push(n)
      })
      bus.publish(ping(1))
      bus.publish(ping(2))
      await dispose()
      assert.deepStrictEqual(seen, [1, 2])
    })
  )

  it(
    "the returned function ends a callback at once, whatever its drain",
    withCallbacks({ drain: "10 seconds" }, async (bus, dispose) => {
      const seen: Array<number> = []
      const unsubscribe = bus.subscribe("Ping", ({ n }) => void seen.push(n), { drain: "1 minute" })
      bus.publish(ping(1))
      unsubscribe()
      await dispose()
      assert.deepStrictEqual(seen, [])
    })
  )

  it(
    "close lets callbacks finish and ends iterators; the bus goes on",
    withCallbacks({}, async (bus) => {
      const seen: Array<number> = []
      bus.subscribe("Ping", ({ n }) => void seen.push(n), { drain: "10 seconds" })
      const events = bus.events("Ping")
      bus.publish(ping(1))
      await bus.close()
      bus.publish(ping(2))
      assert.deepStrictEqual(seen, [1])
      assert.isTrue((await events.next()).done)
      bus.subscribe("Ping", ({ n }) => void seen.push(n))
      bus.publish(ping(3))
      await bus.idle()
      assert.deepStrictEqual(seen, [1, 3])
    })
  )

  it(
    "an aborted signal ends the subscription, also one that was aborted before",
    withCallbacks({}, async (bus) => {
      const seen: Array<number> = []
      const controller = new AbortController()
      bus.subscribe("Ping", ({ n }) => void seen.push(n), { signal: controller.signal })
      bus.publish(ping(1))
      await bus.idle()
      controller.abort()
      bus.subscribe("Ping", ({ n }) => void seen.push(n), { signal: controller.signal })
      bus.publish(ping(2))
      await bus.idle()
      assert.deepStrictEqual(seen, [1])
    })
  )

  it(
    "what is ended otherwise leaves nothing at its signal",
    withCallbacks({}, async (bus) => {
      const { signal } = new AbortController()
      const unsubscribe = bus.subscribe("Ping", () => {}, { signal })
      assert.strictEqual(getEventListeners(signal, "abort").length, 1)
      unsubscribe()
      assert.strictEqual(getEventListeners(signal, "abort").length, 0)
      const next = bus.next("Ping", { signal })
      bus.publish(ping(1))
      await next
      assert.strictEqual(getEventListeners(signal, "abort").length, 0)
      bus.subscribe("Ping", () => {}, { signal })
      await bus.close()
      assert.strictEqual(getEventListeners(signal, "abort").length, 0)
    })
  )

  it(
    "a signal ends what a close still drains",
    withCallbacks({}, async (bus) => {
      const seen: Array<number> = []
      const controller = new AbortController()
      const started = signal()
      bus.subscribe("Ping", ({ n }) => {
        seen.push(n)
        started.resolve()
        return new Promise(() => {})
      }, { signal: controller.signal, drain: Duration.infinity })
      bus.publish(ping(1))
      bus.publish(ping(2))
      await started.promise
      const closing = bus.close()
      controller.abort()
      await closing
      assert.deepStrictEqual(seen, [1])
    })
  )

  it(
    "what throws or rejects is called again by retry, then given to onFailure",
    withCallbacks({}, async (bus) => {
      const calls: Array<number> = []
      const given: Array<readonly [number, unknown]> = []
      bus.subscribe("Ping", ({ n }) => {
        calls.push(n)
        if (n === 1) throw new Error("thrown")
        return Promise.reject(new Error("rejected"))
      }, {
        retry: Schedule.recurs(1),
        onFailure: ({ n }, error) => void given.push([n, (error as Error).message])
      })
      bus.publish(ping(1))
      bus.publish(ping(2))
      await bus.idle()
      assert.deepStrictEqual(calls, [1, 1, 2, 2])
      assert.deepStrictEqual(given, [[1, "thrown"], [2, "rejected"]])
    })
  )

  it(
    "next is the next event that matches, undefined at the end, and rejects with the reason of its signal",
    withCallbacks({}, async (bus, dispose) => {
      const second = bus.next("Ping", { where: { n: 2 } })
      bus.publish(ping(1))
      bus.publish(ping(2))
      assert.strictEqual((await second)?.n, 2)
      const controller = new AbortController()
      const aborted = bus.next("Ping", { signal: controller.signal })
      controller.abort(new Error("enough"))
      let reason: unknown
      await aborted.catch((error) => {
        reason = error
      })
      assert.strictEqual((reason as Error).message, "enough")
      await bus.next("Pung" as "Ping").catch((error) => {
        reason = error
      })
      assert.match(String(reason), /kinds names "Pung"; the kinds are "Ping", "Pong"/)
      const last = bus.next("Pong")
      await dispose()
      assert.isUndefined(await last)
    })
  )

  it(
    "a callback may wait for the rest of the bus, and close everything",
    withCallbacks({}, async (bus) => {
      const done = signal()
      const seen: Array<number> = []
      bus.subscribe("Ping", ({ n }) => void seen.push(n))
      bus.subscribe("Ping", () => bus.idle().then(() => bus.close()).then(done.resolve))
      bus.publish(ping(1))
      await done.promise
      bus.publish(ping(2))
      await bus.idle()
      assert.deepStrictEqual(seen, [1])
    })
  )
})
