import { assert, describe, it } from "@effect/vitest"
import { type ConsumerInfo, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Deferred, Effect, Exit, Latch, Scope } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { addsUp, bridge, door, doors, eventually, eventuallyTrue, light, makeBus } from "./house.ts"
import * as NatsServer from "./NatsServer.ts"

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

const manager = (server: NatsServer.NatsServer) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => connect({ servers: server.url })),
      (nats) => Effect.promise(() => nats.close())
    ),
    (nats) => Effect.promise(() => jetstreamManager(nats))
  ).pipe(Effect.flatten)

const consumer = (manager: JetStreamManager): Effect.Effect<ConsumerInfo> =>
  Effect.promise(() => manager.consumers.info("HOUSE", "source=second"))

/** A bus whose doors `first` publishes, in a stream before the second one connects. */
const send = (
  server: NatsServer.NatsServer,
  events: ReadonlyArray<ReturnType<typeof door> | ReturnType<typeof light>>
) =>
  Effect.gen(function*() {
    const first = yield* makeBus
    const out = yield* bridge(first, {
      servers: server.url,
      source: "first",
      export: ["DoorOpened", "LightSwitched"],
      bufferSize: 20_000
    })
    yield* first.publishAll(events)
    yield* eventually(out.health, ({ export: { exported } }) => exported === events.length)
  })

const router = { source: "second", import: ["DoorOpened"], handledBy: "router" } as const

describe.skipIf(!NatsServer.isInstalled)("handledBy", () => {
  it.live("an event is acknowledged when its handler has finished, not before", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      const latch = yield* Latch.make()
      const started = yield* Deferred.make<void>()
      yield* second.on("DoorOpened", () => Effect.andThen(Deferred.succeed(started, undefined), latch.await), {
        name: "router"
      })
      const into = yield* bridge(second, { ...router, servers: server.url })
      yield* send(server, [door(1)])
      yield* Deferred.await(started)
      const admin = yield* manager(server)
      assert.strictEqual((yield* consumer(admin)).num_ack_pending, 1)
      assert.strictEqual((yield* into.health).import.unhandled, 1)
      yield* latch.open
      yield* eventually(consumer(admin), ({ num_ack_pending }) => num_ack_pending === 0)
      const health = yield* into.health
      assert.strictEqual(health.import.unhandled, 0)
      assert.strictEqual(health.import.imported, 1)
      assert.isTrue(addsUp(health))
    }))

  it.live("an event is acknowledged although its subscription is never at rest, and may take a part of its kind", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      // Doors of this process keep it busy for ever.
      const handle = yield* second.on("DoorOpened", () => Effect.never, {
        name: "router",
        where: { door: 7 },
        concurrency: 2
      })
      const into = yield* bridge(second, { ...router, servers: server.url })
      const admin = yield* manager(server)
      yield* send(server, [door(1)])
      yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 1)
      assert.strictEqual((yield* handle.snapshot).offered, 0)
      yield* handle.unsubscribe
      yield* second.on("DoorOpened", (event) => event.door < 100 ? Effect.void : Effect.never, { name: "router" })
      yield* send(server, [door(2)])
      yield* second.publish(door(100))
      yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 2)
      assert.strictEqual((yield* into.health).import.unhandled, 0)
    }))

  it.live("with handlers side by side a quick one does not acknowledge for a slow one before it", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      const latch = yield* Latch.make()
      const handled: Array<number> = []
      const handle = yield* second.on(
        "DoorOpened",
        (event) => event.door === 0 ? latch.await : Effect.sync(() => handled.push(event.door)),
        { name: "router", concurrency: 4 }
      )
      yield* bridge(second, { ...router, servers: server.url })
      yield* send(server, doors(0, 1))
      yield* eventually(handle.snapshot, ({ running }) => running === 1)
      yield* second.publishAll(doors(1, 50))
      yield* eventuallyTrue(() => handled.length === 50)
      const admin = yield* manager(server)
      assert.strictEqual((yield* consumer(admin)).num_ack_pending, 1)
      yield* latch.open
      const info = yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 1)
      assert.strictEqual(info.num_redelivered, 0)
    }))

  it.live("while the buffer is full nothing is fetched, and nothing is dropped", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* send(server, doors(0, 1000))
      const second = yield* makeBus
      const latch = yield* Latch.make()
      const handled: Array<number> = []
      const handle = yield* second.on(
        "DoorOpened",
        (event) => Effect.andThen(latch.await, Effect.sync(() => handled.push(event.door))),
        { name: "router", bufferSize: 4 }
      )
      const into = yield* bridge(second, { ...router, servers: server.url })
      yield* eventually(handle.snapshot, ({ running }) => running === 1)
      const admin = yield* manager(server)
      assert.isAtMost((yield* consumer(admin)).num_ack_pending, 4)
      assert.isAtLeast((yield* into.health).import.lag, 990)
      yield* latch.open
      yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 1000)
      assert.deepStrictEqual(handled, range(0, 1000))
      assert.strictEqual((yield* handle.snapshot).dropped, 0)
      assert.strictEqual((yield* into.health).import.lag, 0)
    }))

  it.live("an event whose handler was interrupted by unsubscribing goes to the next subscription of that name", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      const started = yield* Deferred.make<void>()
      const old = yield* second.on(
        "DoorOpened",
        () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never),
        { name: "router" }
      )
      const into = yield* bridge(second, { ...router, servers: server.url })
      yield* send(server, [door(7)])
      yield* Deferred.await(started)
      yield* old.unsubscribe
      const handled: Array<number> = []
      yield* second.on("DoorOpened", (event) => Effect.sync(() => handled.push(event.door)), { name: "router" })
      // One that looks idle, and has taken as many as the old one had.
      yield* second.publish(door(100))
      yield* eventuallyTrue(() => handled.includes(7))
      assert.deepStrictEqual(handled, [100, 7])
      const admin = yield* manager(server)
      yield* eventually(consumer(admin), ({ num_ack_pending }) => num_ack_pending === 0)
      assert.strictEqual((yield* into.health).import.imported, 2)
    }))

  it.live("a process of a queue without its handler leaves the events to the others", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const options = { ...router, servers: server.url, queue: "routers" } as const
      const second = yield* makeBus
      const third = yield* makeBus
      const old = yield* second.on("DoorOpened", () => Effect.void, { name: "router" })
      const handled: Array<number> = []
      yield* third.on("DoorOpened", (event) => Effect.sync(() => handled.push(event.door)), { name: "router" })
      const idle = yield* bridge(second, options)
      yield* bridge(third, { ...options, source: "third" })
      yield* old.unsubscribe
      yield* send(server, doors(0, 100))
      yield* eventuallyTrue(() => new Set(handled).size === 100)
      const health = yield* idle.health
      assert.strictEqual(health.import.waiting, 0)
      assert.isTrue(addsUp(health))
    }))

  it.live("an event that its handler gives up is finished with", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      const handle = yield* second.on("DoorOpened", () => Effect.fail("no"), { name: "router" })
      yield* bridge(second, { ...router, servers: server.url })
      yield* send(server, doors(0, 3))
      const admin = yield* manager(server)
      const info = yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 3)
      assert.strictEqual(info.num_redelivered, 0)
      assert.strictEqual((yield* handle.snapshot).failures, 3)
    }))

  it.live("a handler may take longer than `ackWait`", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      const handled: Array<number> = []
      yield* second.on(
        "DoorOpened",
        (event) => Effect.andThen(Effect.sleep("700 millis"), Effect.sync(() => handled.push(event.door))),
        { name: "router" }
      )
      yield* bridge(second, { ...router, servers: server.url, ackWait: "300 millis" })
      yield* send(server, doors(0, 2))
      const admin = yield* manager(server)
      const info = yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 2)
      assert.strictEqual(info.num_redelivered, 0)
      assert.deepStrictEqual(handled, [0, 1])
    }))

  it.live("what was handled while the server was away is acknowledged on the next connection", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      const latch = yield* Latch.make()
      const handled: Array<number> = []
      const started = yield* Deferred.make<void>()
      yield* second.on(
        "DoorOpened",
        (event) =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(latch.await),
            Effect.andThen(Effect.sync(() => handled.push(event.door)))
          ),
        { name: "router" }
      )
      const into = yield* bridge(second, { ...router, servers: server.url })
      yield* send(server, [door(1)])
      yield* Deferred.await(started)
      yield* server.kill
      yield* server.start()
      yield* eventually(into.health, ({ reconnects, status }) => status === "connected" && reconnects > 0)
      yield* latch.open
      const admin = yield* manager(server)
      yield* eventually(consumer(admin), ({ ack_floor }) => ack_floor.stream_seq === 1)
      assert.deepStrictEqual(handled, [1])
    }))

  it.live("kinds that the subscription does not take are acknowledged when the bus has them", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const second = yield* makeBus
      yield* second.on("DoorOpened", () => Effect.never, { name: "router" })
      const lights = yield* second.subscribe({ kinds: ["LightSwitched"] })
      yield* bridge(second, { ...router, servers: server.url, import: ["DoorOpened", "LightSwitched"] })
      yield* send(server, [light("hall"), door(1)])
      assert.deepStrictEqual(yield* lights.take, light("hall"))
      const admin = yield* manager(server)
      yield* eventually(
        consumer(admin),
        ({ ack_floor, num_ack_pending }) => ack_floor.stream_seq === 1 && num_ack_pending === 1
      )
    }))

  it.live("what its handler has not finished when the bus is shut down goes to the next one", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* send(server, doors(0, 20))
      const second = yield* makeBus
      const started = yield* Deferred.make<void>()
      yield* second.on(
        "DoorOpened",
        () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never),
        { name: "router", bufferSize: 4 }
      )
      const into = yield* bridge(second, { ...router, servers: server.url })
      yield* Deferred.await(started)
      yield* second.shutdown
      yield* send(server, doors(20, 5))
      const next = yield* makeBus
      const handled: Array<number> = []
      yield* next.on("DoorOpened", (event) => Effect.sync(() => handled.push(event.door)), { name: "router" })
      yield* bridge(next, { ...router, servers: server.url })
      yield* eventuallyTrue(() => new Set(handled).size === 25)
      assert.isTrue(addsUp(yield* into.health))
      assert.isAtMost((yield* into.health).import.imported, 4)
    }))

  it.live("a subscription that cannot be used is an error that says why", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const refused = Effect.flip(bridge(bus, { ...router, servers: "127.0.0.1:1" }))
      const messages = [(yield* refused).message]
      yield* bus.on("DoorOpened", () => Effect.void, { name: "other" })
      messages.push((yield* refused).message)
      const lights = yield* bus.on("LightSwitched", () => Effect.void, { name: "router" })
      messages.push((yield* refused).message)
      yield* lights.unsubscribe
      const sliding = yield* bus.on("DoorOpened", () => Effect.void, { name: "router", overflow: "sliding" })
      messages.push((yield* refused).message)
      yield* sliding.unsubscribe
      const taken = yield* bus.subscribe({ kinds: ["DoorOpened"], name: "router" })
      messages.push((yield* refused).message)
      yield* taken.unsubscribe
      yield* bus.on("DoorOpened", () => Effect.void, { name: "router" })
      yield* bus.on("DoorOpened", () => Effect.void, { name: "router" })
      messages.push((yield* refused).message)
      assert.deepStrictEqual(messages, [
        "handledBy: \"router\": the bus has no such subscription. It must be there before the bridge",
        "handledBy: \"router\": the bus has no such subscription, only \"other\". It must be there before the bridge",
        "handledBy: \"router\": it subscribes to LightSwitched, to none of the imported DoorOpened",
        "handledBy: \"router\": its overflow is \"sliding\", which may evict what was imported; it must be \"dropping\"",
        "handledBy: \"router\": it has no handler whose end could be seen; it must be one of `on` or `consume`",
        "handledBy: \"router\": the bus has 2 subscriptions of that name; give each its own"
      ])
    }))

  it.live("closing waits for the event that is handled, and gives back those that are not", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* send(server, doors(0, 20))
      const second = yield* makeBus
      const latch = yield* Latch.make()
      const started = yield* Deferred.make<void>()
      const handled: Array<number> = []
      yield* second.on(
        "DoorOpened",
        (event) =>
          Deferred.succeed(started, undefined).pipe(
            Effect.andThen(latch.await),
            Effect.andThen(Effect.sync(() => handled.push(event.door)))
          ),
        { name: "router" }
      )
      const scope = yield* Scope.make()
      const into = yield* Scope.provide(bridge(second, { ...router, servers: server.url }), scope)
      yield* Deferred.await(started)
      yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* latch.open
      yield* Effect.yieldNow
      yield* eventually(into.health, ({ status }) => status === "closed")
      const health = yield* into.health
      assert.isTrue(addsUp(health))
      const admin = yield* manager(server)
      const info = yield* consumer(admin)
      // What was on the bus is handled and acknowledged; the rest is back in the stream.
      assert.strictEqual(info.num_ack_pending + info.num_pending, 20 - handled.length)
      assert.strictEqual(health.import.imported, handled.length)
      assert.strictEqual(health.import.unhandled, 0)
    }))

  it.live(
    "a process killed again and again has handled every event in the end",
    () =>
      Effect.gen(function*() {
        const total = 3000
        const server = yield* NatsServer.make()
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "handled-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
        )
        const file = join(folder, "handled")
        const lines = () => existsSync(file) ? readFileSync(file, "utf8").split("\n").filter((line) => line !== "") : []
        yield* send(server, doors(0, total))
        const run = Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [
              "--conditions=@openwatch/source",
              join(import.meta.dirname, "handler-process.ts"),
              server.url,
              file
            ], { stdio: "inherit" })
          ),
          (child) =>
            Effect.promise(async () => {
              if (child.exitCode !== null || child.signalCode !== null) return
              const exited = once(child, "exit")
              child.kill("SIGKILL")
              await exited
            })
        )
        for (let i = 1; i <= 3; i++) {
          yield* Effect.scoped(Effect.andThen(run, eventuallyTrue(() => lines().length >= i * 600)))
        }
        yield* Effect.scoped(
          Effect.andThen(run, eventuallyTrue(() => new Set(lines()).size >= total))
        )
        assert.deepStrictEqual(
          Array.from(new Set(lines()), Number).toSorted((a, b) => a - b),
          range(0, total)
        )
      })
  )
})
