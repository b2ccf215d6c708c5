import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect, headers } from "@nats-io/transport-node"
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Effect, Exit, Logger, Option, Scope } from "effect"
import {
  addsUp,
  bridge,
  door,
  DoorOpened,
  doors,
  eventually,
  eventuallyTrue,
  light,
  loudBridge,
  makeBus,
  seen
} from "./house.ts"
import * as NatsServer from "./NatsServer.ts"

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i)

const client = (server: NatsServer.NatsServer) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: server.url })),
    (nats) => Effect.promise(() => nats.close())
  )

describe.skipIf(!NatsServer.isInstalled)("delivery", () => {
  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: what one bus publishes, another gets, in order and as its own class`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const first = yield* makeBus
        const second = yield* makeBus
        const events = yield* second.subscribe({ kinds: ["DoorOpened", "LightSwitched"], bufferSize: 4096 })
        const kinds = ["DoorOpened", "LightSwitched"] as const
        yield* bridge(second, { servers: server.url, mode, source: "second", import: kinds })
        const out = yield* bridge(first, {
          servers: server.url,
          mode,
          source: "first",
          export: kinds,
          bufferSize: 4096
        })
        yield* first.publishAll([...doors(0, 1000), light("hall"), ...doors(1000, 1000)])
        const received = yield* events.takeBetween(2001, 2001)
        assert.deepStrictEqual(received, [...doors(0, 1000), light("hall"), ...doors(1000, 1000)])
        assert.isTrue(received[0] instanceof DoorOpened)
        const health = yield* eventually(out.health, (health) => health.export.buffered === 0)
        assert.strictEqual(health.export.exported, 2001)
        assert.isTrue(addsUp(health))
      }))

    it.live(`${mode}: kinds that are not exported stay, kinds that are not imported are not taken in`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const first = yield* makeBus
        const second = yield* makeBus
        yield* bridge(second, { servers: server.url, mode, source: "second", import: ["LightSwitched"] })
        const third = yield* makeBus
        yield* bridge(third, { servers: server.url, mode, source: "third", import: ["LightSwitched", "DoorOpened"] })
        const lights = yield* second.subscribe({ kinds: ["LightSwitched"] })
        const all = yield* third.subscribe({ kinds: ["LightSwitched", "DoorOpened"] })
        yield* bridge(first, { servers: server.url, mode, source: "first", export: ["DoorOpened"] })
        const fourth = yield* makeBus
        yield* bridge(fourth, { servers: server.url, mode, source: "fourth", export: ["LightSwitched"] })
        yield* first.publishAll([light("stays here"), door(1)])
        assert.deepStrictEqual(yield* all.take, door(1))
        yield* fourth.publish(light("hall"))
        assert.deepStrictEqual(yield* lights.take, light("hall"))
        assert.deepStrictEqual(yield* all.take, light("hall"))
        assert.deepStrictEqual((yield* second.metrics).publishedByKind, { DoorOpened: 0, LightSwitched: 1 })
      }))

    it.live(`${mode}: in a ring of three nothing comes back and nothing comes twice`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const buses = yield* Effect.all([makeBus, makeBus, makeBus])
        const kinds = ["DoorOpened"] as const
        const bridges = yield* Effect.forEach(buses, (bus, i) =>
          bridge(bus, { servers: server.url, mode, source: `house ${i}`, export: kinds, import: kinds }))
        const numbers = yield* Effect.forEach(buses, seen)
        for (let i = 0; i < 100; i++) {
          yield* buses[i % 3]!.publish(door(i))
        }
        yield* eventuallyTrue(() =>
          numbers.every((seen) => seen.length >= 100)
        )
        // A marker from each goes all round after what might still be on its way.
        for (let i = 0; i < 3; i++) yield* buses[i]!.publish(door(1000 + i))
        yield* eventuallyTrue(() => numbers.every((seen) => [1000, 1001, 1002].every((n) => seen.includes(n))))
        for (const seen of numbers) {
          assert.deepStrictEqual(seen.toSorted((a, b) => a - b), [...range(0, 100), 1000, 1001, 1002])
        }
        for (const one of bridges) {
          const health = yield* eventually(one.health, (health) => health.export.buffered === 0)
          assert.isTrue(addsUp(health))
          assert.isTrue(health.export.exported === 34 + 1 || health.export.exported === 33 + 1)
          assert.strictEqual(health.import.imported, 103 - health.export.exported)
        }
      }))

    it.live(`${mode}: of the processes of a queue one gets each event`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const sender = yield* makeBus
        const workers = yield* Effect.all([makeBus, makeBus, makeBus])
        const numbers = yield* Effect.forEach(workers, seen)
        yield* Effect.forEach(workers, (bus, i) =>
          bridge(bus, { servers: server.url, mode, source: `worker-${i}`, import: ["DoorOpened"], queue: "workers" }))
        yield* bridge(sender, {
          servers: server.url,
          mode,
          source: "sender",
          export: ["DoorOpened"],
          bufferSize: 4096
        })
        yield* sender.publishAll(doors(0, 3000))
        yield* eventuallyTrue(() =>
          numbers.flat().length >= 3000
        )
        assert.deepStrictEqual(numbers.flat().toSorted((a, b) => a - b), range(0, 3000))
        assert.isTrue(numbers.filter((seen) => seen.length > 0).length > 1)
      }))
  }

  it.live("a message is a CloudEvent 1.0 in binary mode", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const nats = yield* client(server)
      const messages = nats.subscribe("house.>", { max: 1 })
      yield* Effect.promise(() => nats.flush())
      const bus = yield* makeBus
      yield* bridge(bus, { servers: server.url, mode: "core", source: "Flur 100% \u00fc", export: ["DoorOpened"] })
      yield* bus.publish(door(7))
      const message = yield* Effect.promise(async () => (await messages[Symbol.asyncIterator]().next()).value!)
      assert.strictEqual(message.subject, "house.DoorOpened")
      const attributes = message.headers!
      assert.strictEqual(attributes.get("ce-specversion"), "1.0")
      assert.strictEqual(attributes.get("ce-type"), "DoorOpened")
      assert.strictEqual(attributes.get("ce-source"), "Flur%20100%25%20%C3%BC")
      assert.strictEqual(attributes.get("ce-time"), "2026-03-04T05:06:07.089Z")
      assert.strictEqual(attributes.get("ce-datacontenttype"), "application/json")
      assert.match(attributes.get("ce-id"), /^[0-9A-Za-z]{22}$/)
      assert.deepStrictEqual(message.json(), {
        _tag: "DoorOpened",
        door: 7,
        occurredAt: "2026-03-04T05:06:07.089Z"
      })
    }))

  it.live("an imported event tells where it came from, the same at each delivery", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const seconds = yield* Effect.all([makeBus, makeBus])
      const subscriptions = yield* Effect.forEach(seconds, (bus) => bus.subscribe({ kinds: ["DoorOpened"] }))
      yield* Effect.forEach(seconds, (bus, i) =>
        bridge(bus, { servers: server.url, source: `second ${i}`, import: ["DoorOpened"] }))
      yield* bridge(first, { servers: server.url, source: "the \"first\"", export: ["DoorOpened"] })
      const event = door(1)
      yield* first.publish(event)
      const events = yield* Effect.forEach(subscriptions, ({ take }) =>
        take)
      const [one = Option.none(), other] = events.map(NatsBridge.originOf)
      assert.strictEqual(Option.getOrThrow(one).source, "the \"first\"")
      assert.deepStrictEqual(other, one)
      assert.deepStrictEqual(NatsBridge.originOf(event), Option.none())
    }))

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: what is no event of the bus is counted and never reaches it`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const bus = yield* makeBus
        const numbers = yield* seen(bus)
        const into = yield* bridge(bus, {
          servers: server.url,
          mode,
          source: "here",
          import: ["DoorOpened", "LightSwitched"]
        })
        const nats = yield* client(server)
        const send = (attributes: Record<string, string>, body: string, kind = "DoorOpened") => {
          const hdrs = headers()
          for (const [key, value] of Object.entries(attributes)) hdrs.set(key, value)
          nats.publish(`house.${kind}`, body, { headers: hdrs })
        }
        const event = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "there", "ce-type": "DoorOpened" }
        const good = JSON.stringify({ _tag: "DoorOpened", door: 1, occurredAt: "2026-03-04T05:06:07.089Z" })
        nats.publish("house.DoorOpened", good)
        send({ ...event, "ce-specversion": "2.0" }, good)
        send({ ...event, "ce-id": "" }, good)
        send({ ...event, "ce-type": "WindowOpened" }, good)
        send(event, "{")
        send(event, "\"text\"")
        send(event, JSON.stringify({ _tag: "DoorOpened", door: "front", occurredAt: "2026-03-04T05:06:07.089Z" }))
        send(event, JSON.stringify({ _tag: "DoorOpened", door: 1 }))
        send({ ...event, "ce-type": "LightSwitched" }, good)
        send({ ...event, "ce-type": "__proto__" }, good)
        send({ ...event, "ce-source": "here" }, good)
        send(event, good)
        yield* eventuallyTrue(() => numbers.length > 0)
        const health = yield* into.health
        assert.deepStrictEqual(numbers, [1])
        assert.strictEqual(health.import.rejected, 10)
        assert.strictEqual(health.import.ignored, 1)
        assert.strictEqual(health.import.imported, 1)
        assert.isTrue(addsUp(health))
        if (mode === "jetstream") {
          // Terminated: nothing is left to be delivered again.
          const manager = yield* Effect.promise(() => jetstreamManager(nats))
          const consumer = yield* eventually(
            Effect.promise(() => manager.consumers.info("HOUSE", "source=here")),
            (consumer) => consumer.num_ack_pending === 0
          )
          assert.strictEqual(consumer.num_pending, 0)
        }
      }))
  }

  it.live("a message that is rejected is told of once for each type", () =>
    Effect.gen(function*() {
      const messages: Array<string> = []
      const logger = Logger.map(Logger.formatJson, (line) => void messages.push(line))
      const server = yield* NatsServer.make()
      const bus = yield* makeBus
      const into = yield* loudBridge(bus, {
        servers: server.url,
        mode: "core",
        source: "here",
        import: ["DoorOpened"]
      }).pipe(Effect.provide(Logger.layer([logger])))
      const nats = yield* client(server)
      for (const type of ["WindowOpened", "WindowOpened", "BellRang", "WindowOpened"]) {
        const hdrs = headers()
        const attributes = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "there", "ce-type": type }
        for (const [key, value] of Object.entries(attributes)) hdrs.set(key, value)
        nats.publish("house.DoorOpened", "{}", { headers: hdrs })
      }
      const told = () => messages.filter((line) => line.includes("Rejected a message"))
      yield* eventually(into.health, (health) => health.import.rejected === 4)
      yield* eventuallyTrue(() => told().length >= 2)
      assert.deepStrictEqual(told().map((line) => /type \\"(\w+)/.exec(line)?.[1]), ["WindowOpened", "BellRang"])
    }))

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: a bridge that names no kinds sends nothing and takes nothing in`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const first = yield* makeBus
        const second = yield* makeBus
        const idle = yield* bridge(first, { servers: server.url, mode, source: "first" })
        const numbers = yield* seen(first)
        const others = yield* seen(second)
        yield* bridge(second, {
          servers: server.url,
          mode,
          source: "second",
          export: ["DoorOpened"],
          import: ["DoorOpened"]
        })
        const third = yield* makeBus
        yield* bridge(third, { servers: server.url, mode, source: "third", export: ["DoorOpened"] })
        yield* first.publish(door(1))
        yield* second.publish(door(2))
        yield* third.publish(door(3))
        yield* eventuallyTrue(() => others.includes(3))
        assert.deepStrictEqual([numbers, others], [[1], [2, 3]])
        const health = yield* idle.health
        assert.deepStrictEqual([health.status, health.export.offered, health.import.received], ["connected", 0, 0])
      }))
  }

  it.live("jetstream: the lag is what the stream still has when the last event was delivered", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const out = yield* bridge(first, {
        servers: server.url,
        source: "first",
        export: ["DoorOpened"],
        bufferSize: 4096
      })
      yield* first.publishAll(doors(0, 2000))
      yield* eventually(out.health, (health) => health.export.exported === 2000)
      const second = yield* makeBus
      const proxy = yield* NatsServer.proxy(server)
      // Less than all of it is asked for ahead, so some is left when the connection stands still after the first event.
      yield* second.on("DoorOpened", () => proxy.hold, { name: "hold" })
      const into = yield* bridge(second, { servers: proxy.url, source: "second", import: ["DoorOpened"] })
      const { import: { imported, lag } } = yield* eventually(into.health, (health) => health.import.imported > 0)
      assert.strictEqual(imported + lag, 2000)
      assert.isAbove(lag, 0)
    }))

  it.live("jetstream: an import goes on where it stopped, with what came meanwhile", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      yield* bridge(first, { servers: server.url, source: "first", export: ["DoorOpened"] })
      const second = yield* makeBus
      const numbers = yield* seen(second)
      const options = { servers: server.url, source: "second", import: ["DoorOpened"] } as const
      const scope = yield* Scope.make()
      yield* Scope.provide(bridge(second, options), scope)
      yield* first.publishAll(doors(0, 10))
      yield* eventuallyTrue(() => numbers.length === 10)
      yield* Scope.close(scope, Exit.void)
      yield* first.publishAll(doors(10, 10))
      yield* bridge(second, options)
      yield* first.publishAll(doors(20, 10))
      yield* eventuallyTrue(() => numbers.length >= 30)
      assert.deepStrictEqual(numbers, range(0, 30))
    }))

  it.live("jetstream: a bridge new to the stream gets all of it, or with `deliver: \"new\"` nothing of it", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer.make()
      const first = yield* makeBus
      const out = yield* bridge(first, { servers: server.url, source: "first", export: ["DoorOpened"] })
      yield* first.publishAll(doors(0, 10))
      yield* eventually(out.health, (health) => health.export.exported === 10)
      const late = yield* makeBus
      const later = yield* makeBus
      const numbers = yield* Effect.forEach([late, later], seen)
      yield* bridge(late, { servers: server.url, source: "late", import: ["DoorOpened"] })
      yield* bridge(later, { servers: server.url, source: "later", import: ["DoorOpened"], deliver: "new" })
      yield* first.publish(door(10))
      yield* eventuallyTrue(() => numbers[0]!.length >= 11 && numbers[1]!.length >= 1)
      assert.deepStrictEqual(numbers, [range(0, 11), [10]])
    }))

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: what arrives when the bus is shut down is for the next one`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const first = yield* makeBus
        const out = yield* bridge(first, { servers: server.url, mode, source: "first", export: ["DoorOpened"] })
        const options = { servers: server.url, mode, source: "second", import: ["DoorOpened"] } as const
        const old = yield* makeBus
        const into = yield* bridge(old, options)
        yield* first.publish(door(0))
        yield* eventually(into.health, (health) => health.import.imported === 1)
        yield* old.shutdown
        if (mode === "jetstream") {
          // What is on its way while the server does not know yet comes again, but not soon.
          const nats = yield* client(server)
          const manager = yield* Effect.promise(() => jetstreamManager(nats))
          yield* eventually(
            Effect.promise(() => manager.consumers.info("HOUSE", "source=second")),
            (consumer) => consumer.num_waiting === 0
          )
        }
        yield* first.publish(door(1))
        yield* eventually(out.health, (health) => health.export.exported === 2)
        const next = yield* makeBus
        const numbers = yield* seen(next)
        yield* bridge(next, options)
        yield* first.publish(door(2))
        yield* eventuallyTrue(() => numbers.includes(2))
        assert.deepStrictEqual(numbers, mode === "core" ? [2] : [1, 2])
        assert.strictEqual((yield* into.health).import.received, 1)
      }))
  }

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: what comes before the bridge is told that the bus is shut down is neither acknowledged nor counted`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const first = yield* makeBus
        const out = yield* bridge(first, { servers: server.url, mode, source: "first", export: ["DoorOpened"] })
        const second = Object.assign(yield* makeBus, { awaitShutdown: Effect.never })
        const into = yield* bridge(second, { servers: server.url, mode, source: "second", import: ["DoorOpened"] })
        yield* first.publish(door(0))
        yield* eventually(into.health, (health) => health.import.imported === 1)
        yield* second.shutdown
        yield* first.publishAll(doors(1, 10))
        yield* eventually(out.health, (health) => health.export.exported === 11)
        if (mode === "jetstream") {
          const nats = yield* client(server)
          const manager = yield* Effect.promise(() => jetstreamManager(nats))
          const { num_ack_pending } = yield* eventually(
            Effect.promise(() => manager.consumers.info("HOUSE", "source=second")),
            ({ delivered }) => delivered.consumer_seq === 11
          )
          assert.strictEqual(num_ack_pending, 10)
        }
        const { imported, received } = (yield* into.health).import
        assert.deepStrictEqual([imported, received], [1, 1])
      }))
  }

  for (const mode of ["core", "jetstream"] as const) {
    it.live(`${mode}: closing sends what was published before`, () =>
      Effect.gen(function*() {
        const server = yield* NatsServer.make()
        const second = yield* makeBus
        const numbers = yield* seen(second)
        yield* bridge(second, { servers: server.url, mode, source: "second", import: ["DoorOpened"] })
        const first = yield* makeBus
        const scope = yield* Scope.make()
        const out = yield* Scope.provide(
          bridge(first, { servers: server.url, mode, source: "first", export: ["DoorOpened"], bufferSize: 5000 }),
          scope
        )
        yield* first.publishAll(doors(0, 5000))
        yield* Scope.close(scope, Exit.void)
        yield* first.publish(door(9999))
        const health = yield* out.health
        assert.strictEqual(health.status, "closed")
        assert.strictEqual(health.export.exported, 5000)
        assert.isTrue(addsUp(health))
        yield* eventuallyTrue(() => numbers.length >= 5000)
        assert.deepStrictEqual(numbers, range(0, 5000))
      }))
  }
})
