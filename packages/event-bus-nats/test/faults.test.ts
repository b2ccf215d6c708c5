import { assert, describe, it } from "@effect/vitest"
import { AckPolicy, DiscardPolicy, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { EventBus } from "@openwatch/event-bus"
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Deferred, Effect, Exit, Fiber, Logger, Redacted, References, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  addsUp,
  bridge,
  door,
  doors,
  eventually,
  eventuallyTrue,
  type House,
  light,
  loudBridge,
  makeBus,
  seen
} from "./house.ts"
import * as Jwt from "./Jwt.ts"
import * as NatsServer from "./NatsServer.ts"

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)
const unique = (numbers: ReadonlyArray<number>) => Array.from(new Set(numbers)).toSorted((a, b) => a - b)

const withManager = <A>(server: NatsServer.NatsServer, use: (manager: JetStreamManager) => Promise<A>) =>
  Effect.promise(async () => {
    const nats = await connect({ servers: server.url })
    try {
      return await use(await jetstreamManager(nats))
    } finally {
      await nats.close()
    }
  })

const stored = (server: NatsServer.NatsServer) =>
  withManager(server, async (manager) => (await manager.streams.info("HOUSE")).state.messages)

/** Publishes in portions, and lets the sockets have their turn in between. */
const burst = (bus: House, total: number, after: (published: number) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    for (let i = 0; i < total; i += 100) {
      yield* bus.publishAll(doors(i, 100))
      yield* after(i + 100)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
  })

describe.skipIf(!NatsServer.isInstalled)("faults", () => {
  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: without a server the bridge waits, buffers and shows it; what was buffered is sent later`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make({ isStarted: false })
        const first = yield* makeBus
        const out = yield* bridge(first, {
          servers: server.url,
          mode,
          source: "first",
          export: ["DoorOpened"],
          bufferSize: 2000
        })
        const second = yield* makeBus
        const numbers = yield* seen(second)
        const into = yield* bridge(second, { servers: server.url, mode, source: "second", import: ["DoorOpened"] })
        const before = yield* out.health
        assert.isTrue(before.status === "disconnected" || before.status === "connecting")
        assert.include(before.lastError, String(server.port))
        // More than one batch and the buffer hold: the newest are dropped.
        yield* burst(first, 4000, () => Effect.void)
        const held = yield* out.health
        assert.strictEqual(held.export.offered, 4000)
        assert.strictEqual(held.export.exported, 0)
        assert.strictEqual(held.export.buffered + held.export.dropped, 4000)
        assert.isAtLeast(held.export.dropped, 4000 - 2000 - 512)
        assert.isAtMost(held.export.buffered, 2000 + 512)
        assert.isTrue(addsUp(held))
        if (mode === "core") {
          // The importing side first: core keeps nothing for those who are not there.
          yield* Scope.provide(
            Effect.gen(function*() {
              yield* server.start()
              yield* eventually(into.health, ({ status }) => status === "connected")
            }),
            yield* Scope.make()
          )
        } else {
          yield* server.start()
        }
        const after = yield* eventually(out.health, (health) => health.export.buffered === 0)
        assert.strictEqual(after.status, "connected")
        assert.strictEqual(after.reconnects, 0)
        assert.isTrue(addsUp(after))
        assert.strictEqual(after.export.exported, 4000 - held.export.dropped)
        if (mode === "jetstream") {
          yield* eventuallyTrue(() => numbers.length >= after.export.exported)
          assert.deepStrictEqual(numbers, range(0, after.export.exported))
        }
      }))
  }

  it.live("`start: \"fail\"` fails when there is no server, and says which", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make({ isStarted: false })
      const bus = yield* makeBus
      const error = yield* Effect.flip(bridge(bus, { servers: server.url, source: "first", start: "fail" }))
      assert.strictEqual(error._tag, "NatsBridgeError")
      assert.strictEqual(error.reason, "unreachable")
      assert.include(error.message, server.url)
    }))

  it.live("jetstream: a server killed twice in a burst loses nothing that was accepted, and stores nothing twice", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const second = yield* makeBus
      const numbers = yield* seen(second)
      const out = yield* bridge(first, {
        servers: server.url,
        source: "first",
        export: ["DoorOpened"],
        bufferSize: 20_000,
        timeout: "500 millis"
      })
      const into = yield* bridge(second, {
        servers: server.url,
        source: "second",
        import: ["DoorOpened"],
        ackWait: "2 seconds"
      })
      yield* burst(first, 6000, (published) =>
        published === 2000 || published === 4000
          ? Effect.gen(function*() {
            yield* eventually(out.health, (health) => health.export.exported > published - 2000)
            yield* server.kill
            assert.isTrue(addsUp(yield* out.health))
            yield* server.start()
          })
          : Effect.void)
      const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
      assert.isTrue(addsUp(health))
      assert.strictEqual(health.export.exported, 6000)
      assert.isAtLeast(health.reconnects, 2)
      assert.strictEqual(yield* stored(server), 6000)
      yield* eventuallyTrue(() => unique(numbers).length >= 6000)
      assert.deepStrictEqual(unique(numbers), range(0, 6000))
      assert.isTrue(addsUp(yield* into.health))
    }))

  it.live("jetstream: connections cut in the middle, on both sides, lose nothing", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const proxies = yield* Effect.all([NatsServer.proxy(server), NatsServer.proxy(server)])
      const first = yield* makeBus
      const second = yield* makeBus
      const numbers = yield* seen(second)
      const out = yield* bridge(first, {
        servers: proxies[0].url,
        source: "first",
        export: ["DoorOpened"],
        bufferSize: 20_000
      })
      const into = yield* bridge(second, {
        servers: proxies[1].url,
        source: "second",
        import: ["DoorOpened"],
        ackWait: "1 second"
      })
      yield* burst(first, 5000, (published) =>
        published % 1000 === 0
          ? Effect.gen(function*() {
            yield* eventually(out.health, (health) => health.export.exported > published - 1000)
            for (const proxy of proxies) yield* proxy.cut
          })
          : Effect.void)
      const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
      assert.strictEqual(health.export.exported, 5000)
      assert.isAtLeast(health.reconnects, 2)
      assert.isTrue(addsUp(health))
      assert.strictEqual(yield* stored(server), 5000)
      yield* eventuallyTrue(() => unique(numbers).length >= 5000)
      assert.deepStrictEqual(unique(numbers), range(0, 5000))
      const imported = yield* into.health
      assert.isTrue(addsUp(imported))
      assert.strictEqual(imported.import.imported, numbers.length)
    }))

  it.live("core: what a cut connection loses is counted, and the rest arrives once, in order", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const proxy = yield* NatsServer.proxy(server)
      const first = yield* makeBus
      const second = yield* makeBus
      const numbers = yield* seen(second)
      yield* bridge(second, { servers: server.url, mode: "core", source: "second", import: ["DoorOpened"] })
      const out = yield* bridge(first, {
        servers: proxy.url,
        mode: "core",
        source: "first",
        export: ["DoorOpened"],
        bufferSize: 20_000
      })
      yield* burst(first, 5000, (published) => published % 1000 === 0 ? proxy.cut : Effect.void)
      const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
      assert.isTrue(addsUp(health))
      assert.strictEqual(health.export.exported + health.export.lost, 5000)
      assert.isAtLeast(health.reconnects, 1)
      yield* first.publish(door(5000))
      yield* eventuallyTrue(() => numbers.includes(5000))
      assert.isAtLeast(numbers.length, health.export.exported + 1)
      assert.deepStrictEqual(numbers, unique(numbers))
    }))

  it.live("a connection that is there but answers nothing is given up and made anew", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const proxy = yield* NatsServer.proxy(server)
      const first = yield* makeBus
      const out = yield* bridge(first, {
        servers: proxy.url,
        source: "first",
        export: ["DoorOpened"],
        heartbeat: "50 millis",
        timeout: "500 millis"
      })
      yield* proxy.hold
      yield* first.publish(door(1))
      const health = yield* eventually(out.health, (health) => health.export.exported === 1)
      assert.isAtLeast(health.reconnects, 1)
      assert.strictEqual(yield* stored(server), 1)
    }))

  for (const overflow of ["dropping", "sliding"] as const) {
    it.live(`a server that stands still fills a bounded buffer, ${overflow}, and all of that arrives later`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const first = yield* makeBus
        const second = yield* makeBus
        const numbers = yield* seen(second)
        yield* bridge(second, { servers: server.url, source: "second", import: ["DoorOpened"] })
        const out = yield* bridge(first, {
          servers: server.url,
          source: "first",
          export: ["DoorOpened"],
          bufferSize: 100,
          overflow
        })
        yield* server.freeze
        yield* burst(first, 10_000, () => Effect.void)
        const full = yield* out.health
        assert.isAtMost(full.export.buffered, 100 + 512)
        assert.strictEqual(full.export.exported, 0)
        assert.isAtLeast(full.export.dropped, 10_000 - 100 - 512)
        assert.isTrue(addsUp(full))
        yield* server.thaw
        const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
        assert.strictEqual(health.export.exported, full.export.buffered)
        yield* eventuallyTrue(() => numbers.length >= full.export.buffered)
        assert.strictEqual(numbers.includes(9999), overflow === "sliding")
      }))
  }

  it.live("a full stream holds events back, and takes them once there is room", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const out = yield* bridge(first, {
        servers: server.url,
        source: "first",
        export: ["DoorOpened"],
        stream: { maxMessages: 10, discard: "new" }
      })
      yield* first.publishAll(doors(0, 30))
      const full = yield* eventually(out.health, (health) => health.export.exported === 10)
      assert.strictEqual(full.export.buffered, 20)
      const told = yield* eventually(out.health, ({ lastError }) => lastError !== undefined)
      assert.include(told.lastError, "maximum messages exceeded")
      assert.strictEqual(told.status, "connected")
      for (const exported of [20, 30]) {
        yield* withManager(server, (manager) => manager.streams.purge("HOUSE"))
        const health = yield* eventually(out.health, (health) => health.export.exported === exported)
        assert.isTrue(addsUp(health))
      }
      assert.strictEqual((yield* out.health).reconnects, 0)
    }))

  it.live("a stream deleted under a running bridge is made again", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const second = yield* makeBus
      const numbers = yield* seen(second)
      yield* bridge(second, { servers: server.url, source: "second", import: ["DoorOpened"] })
      const out = yield* bridge(first, { servers: server.url, source: "first", export: ["DoorOpened"] })
      yield* first.publish(door(1))
      yield* eventuallyTrue(() => numbers.length === 1)
      yield* withManager(server, (manager) => manager.streams.delete("HOUSE"))
      yield* first.publish(door(2))
      yield* eventually(out.health, (health) => health.export.exported === 2)
      yield* eventuallyTrue(() => numbers.length === 2)
      assert.deepStrictEqual(numbers, [1, 2])
    }))

  it.live("a stream or a queue that is not as the options say is an error that names the difference", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* withManager(server, (manager) =>
        manager.streams.add({
          name: "HOUSE",
          subjects: ["house.DoorOpened"],
          max_age: 60e9,
          discard: DiscardPolicy.New
        }))
      const bus = yield* makeBus
      const error = yield* Effect.flip(
        bridge(bus, {
          servers: server.url,
          source: "first",
          stream: { maxAge: "2 hours", discard: "old", storage: "file" }
        })
      )
      assert.strictEqual(error.reason, "mismatch")
      assert.strictEqual(
        error.message,
        "the stream \"HOUSE\" is not as the options say: its subjects are [\"house.DoorOpened\"], without \"house.*\"; " +
          "its max_age is 60 s, not 7200 s; its discard is \"new\", not \"old\". " +
          "Change the options or the stream (nats stream edit HOUSE), or name another stream"
      )
      yield* withManager(server, (manager) => manager.streams.delete("HOUSE"))
      const queue = { servers: server.url, queue: "workers" }
      yield* bridge(bus, { ...queue, source: "first", import: ["DoorOpened"] })
      const other = yield* Effect.flip(bridge(bus, { ...queue, source: "second", import: ["LightSwitched"] }))
      assert.strictEqual(other.reason, "mismatch")
      assert.include(other.message, "imports DoorOpened, but this process imports LightSwitched")
    }))

  for (const queue of [undefined, "workers"]) {
    it.live(`two subjects in one stream do not share the consumer of one ${queue === undefined ? "source" : "queue"}`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        yield* withManager(
          server,
          (manager) => manager.streams.add({ name: "HOUSE", subjects: ["house.*", "garden.*"] })
        )
        const bus = yield* makeBus
        const options = { servers: server.url, source: "first", import: ["DoorOpened"], queue } as const
        const named = queue === undefined ? "source" : "queue"
        yield* bridge(bus, options)
        const error = yield* Effect.flip(bridge(bus, { ...options, subject: "garden", stream: { name: "HOUSE" } }))
        assert.strictEqual(error.reason, "mismatch")
        assert.strictEqual(
          error.message,
          `the consumer "${named}=${
            queue ?? "first"
          }" of the stream "HOUSE" is there already, but for something else: ` +
            `its filter_subject is "house.*", not "garden.*". Name another ${named}, or another stream`
        )
      }))
  }

  it.live("a consumer that acknowledges by itself is not used", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* withManager(server, async (manager) => {
        await manager.streams.add({ name: "HOUSE", subjects: ["house.*"] })
        await manager.consumers.add("HOUSE", {
          durable_name: "source=first",
          ack_policy: AckPolicy.None,
          filter_subject: "house.*"
        })
      })
      const bus = yield* makeBus
      const error = yield* Effect.flip(bridge(bus, { servers: server.url, source: "first", import: ["DoorOpened"] }))
      assert.strictEqual(error.reason, "mismatch")
      assert.include(error.message, `its ack_policy is "none", not "explicit"`)
    }))

  for (
    const [what, config] of [
      ["deliver_subject: \"pushed\"", { deliver_subject: "pushed" }],
      ["headers_only: true", { headers_only: true }],
      ["max_deliver: 2", { max_deliver: 2 }],
      ["max_batch: 10", { max_batch: 10 }]
    ] as const
  ) {
    it.live(`a consumer that would not deliver all there is, again and again, is not used: ${what}`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        yield* withManager(server, async (manager) => {
          await manager.streams.add({ name: "HOUSE", subjects: ["house.*"] })
          const durable = { durable_name: "source=first", ack_policy: AckPolicy.Explicit, filter_subject: "house.*" }
          await manager.consumers.add("HOUSE", { ...durable, ...config })
        })
        const bus = yield* makeBus
        const error = yield* Effect.flip(bridge(bus, { servers: server.url, source: "first", import: ["DoorOpened"] }))
        assert.strictEqual(error.reason, "mismatch")
        assert.include(error.message, `it has a ${what}`)
      }))
  }

  it.live("a stream that does not say what it has stored is not used", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* withManager(
        server,
        (manager) => manager.streams.add({ name: "HOUSE", subjects: ["house.*"], no_ack: true })
      )
      const bus = yield* makeBus
      const error = yield* Effect.flip(bridge(bus, { servers: server.url, source: "first", export: ["DoorOpened"] }))
      assert.include(error.message, "its no_ack is true")
    }))

  for (
    const [options, message] of [
      [
        { stream: { name: "a.b" } },
        `stream.name must be a word without blanks, ".", "*", ">" and slashes, but is "a.b"`
      ],
      [{ stream: { maxBytes: 1.5 } }, "stream.maxBytes must be a positive integer, but is 1.5"],
      [{ stream: { replicas: 0 } }, "stream.replicas must be a positive integer, but is 0"],
      [{ stream: { maxAge: Infinity } }, "stream.maxAge must be a time above 0, but is Infinity"],
      [{ stream: { duplicateWindow: "long" } }, `stream.duplicateWindow must be a time above 0, but is "long"`],
      [{ stream: { storage: "disk" } }, `stream.storage must be "file" or "memory", but is "disk"`],
      [{ stream: { discard: "none" } }, `stream.discard must be "old" or "new", but is "none"`],
      [{ timeout: "soon" }, `timeout must be a time above 0, but is "soon"`],
      [{ drain: "soon" }, `drain must be a time, but is "soon"`]
    ] as const
  ) {
    it.effect(`an option that no server could do with is a defect: ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const making = bridge(yield* makeBus, { servers: "127.0.0.1:1", source: "first", ...options as object })
        const exit = yield* Effect.exit(Effect.scoped(making))
        assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), message)
      }))
  }

  it.live("a server without JetStream is told apart, with what would be right", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make({ config: "jetstream: disabled" })
      const bus = yield* makeBus
      const error = yield* Effect.flip(
        bridge(bus, { servers: server.url, source: "first", start: "fail", export: ["DoorOpened"] })
      )
      assert.include(error.message, "jetstream is not enabled")
      assert.include(error.message, "nats-server --jetstream")
    }))

  it.live("a process may come back with other kinds to import", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const bus = yield* makeBus
      const options = { servers: server.url, source: "first" }
      yield* Effect.scoped(bridge(bus, { ...options, import: ["DoorOpened"] }))
      yield* bridge(bus, { ...options, import: ["DoorOpened", "LightSwitched"] })
      const lights = yield* bus.subscribe({ kinds: ["LightSwitched"] })
      const other = yield* makeBus
      yield* bridge(other, { servers: server.url, source: "other", export: ["LightSwitched"] })
      yield* other.publish(light("hall"))
      assert.deepStrictEqual(yield* lights.take, light("hall"))
      const config = yield* withManager(
        server,
        async (manager) => (await manager.consumers.info("HOUSE", "source=first")).config
      )
      assert.strictEqual(config.ack_policy, AckPolicy.Explicit)
      assert.strictEqual(config.filter_subject, "house.*")
    }))

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: an event larger than the server takes is rejected, the others pass`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make({ config: "max_payload: 4KB" })
        const first = yield* makeBus
        const out = yield* bridge(first, { servers: server.url, mode, source: "first", export: ["LightSwitched"] })
        yield* first.publishAll([light("hall"), light("x".repeat(5000)), light("door")])
        const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
        assert.deepStrictEqual([health.export.exported, health.export.rejected], [2, 1])
        assert.strictEqual(health.reconnects, 0)
        assert.isTrue(addsUp(health))
      }))
  }

  for (const discard of ["new", "old"] as const) {
    it.live(`an event larger than the whole stream (discard "${discard}") is rejected, and costs none of the others`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const bus = yield* makeBus
        const out = yield* bridge(bus, {
          servers: server.url,
          source: "first",
          export: ["LightSwitched"],
          stream: { maxBytes: 10_000, discard }
        })
        yield* bus.publishAll([light("first"), light("x".repeat(10_000)), light("third")])
        const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
        assert.deepStrictEqual([health.export.exported, health.export.rejected], [2, 1])
        assert.strictEqual(yield* stored(server), 2)
      }))
  }

  it.live("an event larger than the stream takes is rejected, the others pass", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      yield* withManager(server, (manager) =>
        manager.streams.add({ name: "HOUSE", subjects: ["house.*"], max_msg_size: 1000 }))
      const first = yield* makeBus
      const out = yield* bridge(first, { servers: server.url, source: "first", export: ["LightSwitched"] })
      yield* first.publishAll([light("hall"), light("x".repeat(5000)), light("door")])
      const health = yield* eventually(out.health, (health) =>
        health.export.buffered === 0)
      assert.deepStrictEqual([health.export.exported, health.export.rejected], [2, 1])
    }))

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: an event that does not encode is rejected, the others pass`, () =>
      Effect.gen(function*() {
        class Measured extends Schema.TaggedClass<Measured>()("Measured", {
          value: Schema.Number.check(Schema.isGreaterThan(0)),
          occurredAt: Schema.DateTimeUtc
        }) {}
        class MeterBus extends EventBus.Service<MeterBus>()("test/MeterBus", { events: [Measured] }) {}
        const server = yield* NatsServer.make()
        yield* Effect.gen(function*() {
          const bus = yield* MeterBus
          const out = yield* NatsBridge.make(MeterBus, {
            servers: server.url,
            subject: "house",
            source: "meter",
            mode,
            export: ["Measured"]
          })
          const { occurredAt } = door(0)
          const bad = Object.assign(new Measured({ value: 1, occurredAt }), { value: -1 })
          yield* bus.publishAll([new Measured({ value: 1, occurredAt }), bad, new Measured({ value: 2, occurredAt })])
          const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
          assert.deepStrictEqual([health.export.exported, health.export.rejected], [2, 1])
        }).pipe(Effect.provide(MeterBus.layer), Effect.provide(Logger.layer([])))
      }))
  }

  it.live("credentials that a restarted server refuses are asked for again, and never shown", () =>
    Effect.gen(function*() {
      const messages: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => void messages.push(line))
      const server = yield* NatsServer.make({ config: `authorization { token: "old-secret" }` })
      let token = "old-secret"
      const bus = yield* makeBus
      yield* Effect.gen(function*() {
        const out = yield* loudBridge(bus, {
          servers: server.url,
          mode: "core",
          source: "first",
          export: ["DoorOpened"],
          credentials: Effect.sync(() => ({ token: Redacted.make(token) }))
        })
        yield* server.kill
        yield* server.start(`authorization { token: "new-secret" }`)
        const refused = yield* eventually(out.health, ({ lastError }) => lastError?.includes("Authorization") === true)
        assert.notStrictEqual(refused.status, "connected")
        yield* bus.publish(door(1))
        token = "new-secret"
        const health = yield* eventually(out.health, (health) => health.export.exported === 1)
        assert.strictEqual(health.status, "connected")
        assert.notInclude(JSON.stringify(health), "secret")
        const error = yield* Effect.flip(
          loudBridge(bus, {
            servers: server.url,
            source: "second",
            start: "fail",
            credentials: { user: "first", password: Redacted.make("old-secret") }
          })
        )
        assert.strictEqual(error.reason, "unreachable")
        assert.notInclude(JSON.stringify(error) + String(error) + error.stack + String(error.cause), "secret")
        const exit = yield* Effect.exit(
          loudBridge(bus, { servers: "nats://first:old-secret@127.0.0.1:1", source: "third" })
        )
        assert.isTrue(Exit.isFailure(exit))
        assert.notInclude(JSON.stringify(exit) + String(exit), "secret")
      }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      assert.isAbove(messages.length, 1)
      assert.notInclude(messages.join(), "secret")
    }))

  it.live("credentials whose effect dies count as a failed attempt", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const error = yield* Effect.flip(
        bridge(bus, {
          servers: "127.0.0.1:1",
          source: "first",
          start: "fail",
          credentials: Effect.die(new Error("no vault"))
        })
      )
      assert.strictEqual(error.reason, "unreachable")
      assert.strictEqual(error.message, "the credentials for NATS could not be had: no vault")
    }))

  it.live("after credentials whose effect died the next attempt asks for them again", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const bus = yield* makeBus
      let asked = 0
      const out = yield* bridge(bus, {
        servers: server.url,
        source: "first",
        export: ["DoorOpened"],
        credentials: Effect.sync(() => {
          if (asked++ === 0) throw new Error("no vault")
          return { token: Redacted.make("any") }
        })
      })
      yield* eventually(out.health, ({ status }) => status === "connected")
      assert.strictEqual(asked, 2)
    }))

  it.effect("credentials that do not come count as a failed attempt", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      const starting = yield* Effect.forkScoped(
        Effect.flip(bridge(bus, { servers: "127.0.0.1:1", source: "first", start: "fail", credentials: Effect.never }))
      )
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(starting)
      assert.strictEqual(
        error.message,
        "the credentials for NATS could not be had: they did not come within 5000 ms, the timeout"
      )
    }))

  it.effect("what credentials fail with is shown, whatever it is", () =>
    Effect.gen(function*() {
      const bus = yield* makeBus
      for (
        const [credentials, shown] of [
          [Effect.fail({ status: 503 }), `{"status":503}`],
          [Effect.die(Object.create(null)), "{}"]
        ] as const
      ) {
        const error = yield* Effect.flip(
          bridge(bus, { servers: "127.0.0.1:1", source: "first", start: "fail", credentials })
        )
        assert.strictEqual(error.message, `the credentials for NATS could not be had: ${shown}`)
      }
    }).pipe(Effect.scoped))

  it.effect("the pause between attempts grows, also when each takes long to fail", () =>
    Effect.gen(function*() {
      const attempts: Array<unknown> = []
      const logger = Logger.map(
        Logger.formatStructured,
        ({ annotations }) => void attempts.push(annotations["attempt"])
      )
      const bus = yield* makeBus
      yield* loudBridge(bus, {
        servers: "127.0.0.1:1",
        source: "first",
        timeout: "20 seconds",
        credentials: Effect.andThen(Effect.sleep("10 seconds"), Effect.fail("no vault"))
      }).pipe(Effect.provide(Logger.layer([logger])), Effect.forkScoped)
      yield* TestClock.adjust("35 seconds")
      assert.deepStrictEqual(attempts, [1, 2, 3])
    }))

  it.live("credentials that expire on an open connection are asked for again", () =>
    Effect.gen(function*() {
      const authority = Jwt.makeAuthority()
      const server = yield* NatsServer.make({ config: authority.config })
      const bus = yield* makeBus
      let seconds = 2
      const out = yield* bridge(bus, {
        servers: server.url,
        mode: "core",
        source: "first",
        export: ["DoorOpened"],
        credentials: Effect.sync(() => ({ creds: Redacted.make(authority.creds(seconds)) }))
      })
      // On a busy machine the first ones may expire before they are used.
      yield* eventually(out.health, ({ status }) => status === "connected")
      seconds = 3600
      const expired = yield* eventually(out.health, ({ status }) => status !== "connected")
      assert.match(expired.lastError ?? "", /expired/i)
      yield* bus.publish(door(1))
      const health = yield* eventually(out.health, (health) => health.export.exported === 1)
      assert.isAtLeast(health.reconnects, 1)
    }))

  it.live("a server that requires TLS is reached by TLS, with its authority trusted", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "nats-tls-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const certFile = join(folder, "cert.pem")
      const keyFile = join(folder, "key.pem")
      execFileSync(
        "openssl",
        `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout ${keyFile} -out ${certFile}`
          .split(" "),
        { stdio: "ignore" }
      )
      const server = yield* NatsServer.make({ config: `tls { cert_file: "${certFile}", key_file: "${keyFile}" }` })
      const bus = yield* makeBus
      const options = { servers: server.url, mode: "core", export: ["DoorOpened"] } as const
      const out = yield* bridge(bus, { ...options, source: "first", tls: { caFile: certFile } })
      yield* bus.publish(door(1))
      yield* eventually(out.health, (health) => health.export.exported === 1)
      const error = yield* Effect.flip(bridge(bus, { ...options, source: "second", start: "fail", tls: {} }))
      assert.strictEqual(error.reason, "unreachable")
      assert.match(error.message, /certificate/)
    }))

  it.live("core: what the server does not let this user publish counts as exported, and the log and `health` say so", () =>
    Effect.gen(function*() {
      const messages: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => void messages.push(line))
      const server = yield* NatsServer.make({
        config: `authorization { users: [{ user: app, password: app, permissions: { publish: "elsewhere.>" } }] }`
      })
      const bus = yield* makeBus
      const out = yield* loudBridge(bus, {
        servers: server.url,
        mode: "core",
        source: "first",
        export: ["DoorOpened"],
        credentials: { user: "app", password: Redacted.make("app") }
      }).pipe(Effect.provide(Logger.layer([logger])))
      yield* bus.publishAll(doors(0, 3))
      const health = yield* eventually(out.health, ({ lastError }) => lastError !== undefined)
      assert.match(health.lastError!, /permissions violation.*house\.DoorOpened/i)
      assert.deepStrictEqual([health.status, health.export.exported], ["connected", 3])
      yield* eventuallyTrue(() => messages.some((line) => line.includes("refuses")))
      assert.strictEqual(messages.filter((line) => line.includes("refuses")).length, 1)
    }))

  it.live("closing without a server ends after `drain`, and counts what is left as lost", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make({ isStarted: false })
      const bus = yield* makeBus
      const scope = yield* Scope.make()
      const out = yield* Scope.provide(
        bridge(bus, { servers: server.url, source: "first", export: ["DoorOpened"], drain: "50 millis" }),
        scope
      )
      yield* bus.publishAll(doors(0, 700))
      yield* Scope.close(scope, Exit.void)
      const health = yield* out.health
      assert.strictEqual(health.status, "closed")
      assert.strictEqual(health.export.lost, 700)
      assert.isTrue(addsUp(health))
    }))

  it.live("a flood of imports evicts nothing that waits to be exported", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const second = yield* makeBus
      const kinds = ["DoorOpened"] as const
      // The second one's own events wait: its stream is full for as long as nobody makes room.
      yield* bridge(first, { servers: server.url, mode: "core", source: "first", export: kinds, bufferSize: 20_000 })
      const numbers = yield* seen(second)
      const out = yield* bridge(second, {
        servers: server.url,
        subject: "out",
        source: "second",
        export: kinds,
        bufferSize: 64,
        stream: { maxMessages: 1, discard: "new" }
      })
      yield* bridge(second, { servers: server.url, mode: "core", source: "second's ears", import: kinds })
      yield* second.publishAll(doors(0, 10))
      yield* eventually(out.health, (health) => health.export.exported === 1)
      yield* burst(first, 5000, () => Effect.void)
      yield* eventuallyTrue(() => numbers.length >= 5010)
      const health = yield* out.health
      assert.deepStrictEqual([health.export.offered, health.export.dropped, health.export.buffered], [10, 0, 9])
    }))

  it.live("a bus shut down while its import is being set up takes nothing in, and the stream keeps it", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const proxy = yield* NatsServer.proxy(server)
      const first = yield* makeBus
      const out = yield* bridge(first, { servers: server.url, source: "first", export: ["DoorOpened"] })
      yield* first.publishAll(doors(0, 10))
      yield* eventually(out.health, (health) => health.export.exported === 10)
      const second = yield* makeBus
      const scope = yield* Scope.make()
      // The first one finds that there is no consumer yet, the second one is asked by the client that is to consume.
      const held = yield* Effect.forkChild(proxy.holdAt("CONSUMER.INFO", 2), { startImmediately: true })
      const connecting = yield* Effect.forkChild(Scope.provide(
        bridge(second, { servers: proxy.url, source: "second", import: ["DoorOpened"] }),
        scope
      ))
      const release = yield* Fiber.join(held)
      yield* second.shutdown
      yield* release
      const into = yield* Fiber.join(connecting)
      // Back and forth, so that what was on its way is there.
      yield* first.publish(door(10))
      yield* eventually(out.health, (health) => health.export.exported === 11)
      yield* Scope.close(scope, Exit.void)
      const health = yield* into.health
      assert.strictEqual(health.import.received, 0)
      assert.isTrue(addsUp(health))
      const left = yield* withManager(server, (manager) => manager.consumers.info("HOUSE", "source=second"))
      assert.strictEqual(left.num_pending + left.num_ack_pending, 11)
    }))

  it.live("a deferred that nobody completes does not keep a bridge from closing", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const bus = yield* makeBus
      const never = yield* Deferred.make<void>()
      yield* bus.on("DoorOpened", () => Deferred.await(never), { name: "stuck" })
      const scope = yield* Scope.make()
      yield* Scope.provide(
        bridge(bus, {
          servers: server.url,
          source: "first",
          import: ["DoorOpened"],
          handledBy: "stuck",
          drain: "50 millis"
        }),
        scope
      )
      const other = yield* makeBus
      yield* bridge(other, { servers: server.url, source: "other", export: ["DoorOpened"] })
      yield* other.publish(door(1))
      yield* eventually(bus.subscriptions, (all) => all.some(({ running }) => running === 1))
      yield* Scope.close(scope, Exit.void)
      const left = yield* withManager(server, (manager) => manager.consumers.info("HOUSE", "source=first"))
      assert.strictEqual(left.num_ack_pending, 1)
    }))
})
