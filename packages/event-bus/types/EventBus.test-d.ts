import { EventBus, type Subscription, type SubscriptionHandle } from "@openwatch/event-bus"
import { type Cause, Context, DateTime, Effect, type Layer, Schedule, Schema, type Scope, type Stream } from "effect"
import { describe, expectTypeOf, it } from "vitest"

class Ping extends Schema.TaggedClass<Ping>()("Ping", { n: Schema.Int, occurredAt: Schema.DateTimeUtc }) {}
class Pong extends Schema.TaggedClass<Pong>()("Pong", { to: Schema.String, occurredAt: Schema.DateTimeUtc }) {}
class Foreign extends Schema.TaggedClass<Foreign>()("Foreign", { occurredAt: Schema.DateTimeUtc }) {}
class TestBus extends EventBus.Service<TestBus>()("test/Bus", { events: [Ping, Pong] }) {}

class Database extends Context.Service<Database, { readonly save: Effect.Effect<void, "full"> }>()("test/Database") {}
class Mailer extends Context.Service<Mailer, { readonly send: Effect.Effect<void> }>()("test/Mailer") {}

declare const bus: EventBus.EventBus<Ping | Pong>

/** What an effect gives, fails with and needs. */
type Parts<T> = T extends Effect.Effect<infer A, infer E, infer R> ? { a: A; e: E; r: R } : never

describe("the service", () => {
  it("is a bus of its events", () => {
    expectTypeOf<TestBus["Service"]>().toEqualTypeOf<EventBus.EventBus<Ping | Pong>>()
  })

  it("has layers that need nothing and cannot fail", () => {
    expectTypeOf(TestBus.layer).toEqualTypeOf<Layer.Layer<TestBus>>()
    expectTypeOf(TestBus.layerWith({ bufferSize: 1, overflow: "sliding", replay: 1 })).toEqualTypeOf<
      Layer.Layer<TestBus>
    >()
    // @ts-expect-error overflow is one of two
    TestBus.layerWith({ overflow: "suspend" })
  })

  it("knows its kinds as a tuple, and its events as schemas", () => {
    expectTypeOf(TestBus.kinds).toEqualTypeOf<readonly ["Ping", "Pong"]>()
    expectTypeOf<(typeof TestBus.Event)["Type"]>().toEqualTypeOf<Ping | Pong>()
    expectTypeOf<(typeof TestBus.EventJson)["Type"]>().toEqualTypeOf<Ping | Pong>()
    expectTypeOf<(typeof TestBus.EventJson)["Encoded"]>().toEqualTypeOf<Schema.Json>()
    expectTypeOf<(typeof TestBus.EventJson)["DecodingServices"]>().toEqualTypeOf<never>()
  })

  it("takes only events with a kind, a time and no needs", () => {
    const Untimed = Schema.TaggedStruct("Untimed", {})
    // @ts-expect-error there is no occurredAt
    EventBus.Service<unknown>()("test/Untimed", { events: [Untimed] })
    const Untagged = Schema.Struct({ occurredAt: Schema.DateTimeUtc })
    // @ts-expect-error there is no _tag
    EventBus.Service<unknown>()("test/Untagged", { events: [Untagged] })
    const Needy = Schema.TaggedStruct("Needy", {
      occurredAt: Schema.DateTimeUtc,
      name: null as unknown as Schema.Codec<string, string, Database>
    })
    // @ts-expect-error decoding it needs a service
    EventBus.Service<unknown>()("test/Needy", { events: [Needy] })
  })
})

describe("publish", () => {
  it("never fails and needs nothing", () => {
    expectTypeOf(bus.publish).toEqualTypeOf<(event: Ping | Pong) => Effect.Effect<void>>()
  })

  it("refuses a foreign event", () => {
    const foreign = new Foreign({ occurredAt: DateTime.makeUnsafe(0) })
    // @ts-expect-error not of the set
    bus.publish(foreign)
    // @ts-expect-error not of the set
    bus.publishAll([foreign])
    // @ts-expect-error not of the set
    bus.publishUnsafe(foreign)
  })
})

describe("subscribe", () => {
  it("narrows the event by its kinds", () => {
    expectTypeOf(bus.subscribe({ kinds: ["Ping"] })).toEqualTypeOf<
      Effect.Effect<Subscription<Ping>, never, Scope.Scope>
    >()
    expectTypeOf(bus.subscribe({ kinds: ["Pong", "Ping"] }))
      .toEqualTypeOf<Effect.Effect<Subscription<Ping | Pong>, never, Scope.Scope>>()
    const some: ReadonlyArray<"Ping" | "Pong"> = ["Ping"]
    expectTypeOf(bus.subscribe({ kinds: some })).toEqualTypeOf<
      Effect.Effect<Subscription<Ping | Pong>, never, Scope.Scope>
    >()
  })

  it("to no kinds gives no events", () => {
    expectTypeOf(bus.subscribe({ kinds: [] })).toEqualTypeOf<Effect.Effect<Subscription<never>, never, Scope.Scope>>()
  })

  it("refuses a wrong kind", () => {
    // @ts-expect-error no such kind
    bus.subscribe({ kinds: ["Pung"] })
    // @ts-expect-error there is no wildcard
    bus.subscribe({ kinds: "*" })
    // @ts-expect-error kinds are required
    bus.subscribe({})
  })

  it("matches fields that all of its kinds have", () => {
    const HostId = Schema.String.pipe(Schema.brand("HostId"))
    class Checked extends Schema.TaggedClass<Checked>()("Checked", {
      hostId: HostId,
      level: Schema.Literals(["ok", "warning"]),
      score: Schema.Finite,
      isFirst: Schema.Boolean,
      note: Schema.optional(Schema.String),
      tags: Schema.Array(Schema.String),
      occurredAt: Schema.DateTimeUtc
    }) {}
    class Gone extends Schema.TaggedClass<Gone>()("Gone", {
      hostId: HostId,
      score: Schema.NullOr(Schema.Finite),
      occurredAt: Schema.DateTimeUtc
    }) {}
    expectTypeOf<EventBus.Keyable<Checked>>().toEqualTypeOf<"hostId" | "level" | "score" | "isFirst">()
    expectTypeOf<EventBus.Keyable<Checked | Gone>>().toEqualTypeOf<"hostId">()
    expectTypeOf<EventBus.Keyable<never>>().toEqualTypeOf<never>()

    const hosts = null as unknown as EventBus.EventBus<Checked | Gone>
    const hostId = HostId.make("a")
    expectTypeOf(hosts.subscribe({ kinds: ["Checked", "Gone"], where: { hostId } })).toEqualTypeOf<
      Effect.Effect<Subscription<Checked | Gone>, never, Scope.Scope>
    >()
    hosts.on("Checked", () => Effect.void, { where: { hostId, level: "ok", isFirst: true, score: 1 } })
    hosts.on(["Checked", "Gone"], () => Effect.void, { where: { hostId } })
    // @ts-expect-error a string is no HostId
    hosts.subscribe({ kinds: ["Checked"], where: { hostId: "a" } })
    // @ts-expect-error no such field
    hosts.subscribe({ kinds: ["Checked"], where: { host: hostId } })
    // @ts-expect-error not of both kinds
    hosts.subscribe({ kinds: ["Checked", "Gone"], where: { level: "ok" } })
    // @ts-expect-error the level is one of two
    hosts.on("Checked", () => Effect.void, { where: { level: "error" } })
    // @ts-expect-error the kind is kinds'
    hosts.subscribe({ kinds: ["Checked"], where: { _tag: "Checked" } })
    // @ts-expect-error it may be absent
    hosts.subscribe({ kinds: ["Checked"], where: { note: "new" } })
    // @ts-expect-error undefined is no value
    hosts.subscribe({ kinds: ["Checked"], where: { hostId: undefined } })
    // @ts-expect-error no field is common to no events
    hosts.subscribe({ kinds: [], where: { hostId } })
    // @ts-expect-error a PubSub has no where
    hosts.asPubSub({ kinds: ["Checked"], where: { hostId } })
  })

  it("gives takes that end with Done", () => {
    expectTypeOf<Subscription<Ping>["take"]>().toEqualTypeOf<Effect.Effect<Ping, Cause.Done>>()
    expectTypeOf<Subscription<Ping>["takeAll"]>().toEqualTypeOf<Effect.Effect<[Ping, ...Array<Ping>], Cause.Done>>()
    expectTypeOf<Subscription<Ping>["takeUpTo"]>().returns.toEqualTypeOf<Effect.Effect<Array<Ping>, Cause.Done>>()
    expectTypeOf<Subscription<Ping>["takeBetween"]>().returns.toEqualTypeOf<Effect.Effect<Array<Ping>, Cause.Done>>()
  })

  it("gives a stream that cannot fail", () => {
    expectTypeOf<Subscription<Ping>["stream"]>().toEqualTypeOf<Stream.Stream<Ping>>()
  })

  it("gives what may stand where more kinds are expected, not fewer", () => {
    expectTypeOf<Subscription<Ping>>().toExtend<Subscription<Ping | Pong>>()
    expectTypeOf<Subscription<Ping | Pong>>().not.toExtend<Subscription<Ping>>()
  })
})

describe("on", () => {
  it("narrows the event by kind, or kinds", () => {
    bus.on("Ping", (event, handle) => {
      expectTypeOf(event).toEqualTypeOf<Ping>()
      expectTypeOf(handle).toEqualTypeOf<SubscriptionHandle>()
      return Effect.void
    })
    bus.on(["Ping", "Pong"], (event) => {
      expectTypeOf(event).toEqualTypeOf<Ping | Pong>()
      return Effect.void
    })
    bus.on([], (event) => {
      expectTypeOf(event).toEqualTypeOf<never>()
      return Effect.void
    })
    // @ts-expect-error no such kind
    bus.on("Pung", () => Effect.void)
    // @ts-expect-error the handler takes another event
    bus.on("Ping", (event: Pong) => Effect.log(event.to))
  })

  it("keeps what the handler, its retries and its onFailure need", () => {
    const plain = bus.on("Ping", () => Effect.void)
    expectTypeOf<Parts<typeof plain>>().toEqualTypeOf<{ a: SubscriptionHandle; e: never; r: Scope.Scope }>()

    const saving = bus.on("Ping", () => Effect.flatMap(Database, (database) => database.save))
    expectTypeOf<Parts<typeof saving>["r"]>().toEqualTypeOf<Database | Scope.Scope>()

    const reporting = bus.on("Ping", () => Effect.flatMap(Database, (database) => database.save), {
      onFailure: () => Effect.flatMap(Mailer, (mailer) => mailer.send)
    })
    expectTypeOf<Parts<typeof reporting>["r"]>().toEqualTypeOf<Database | Mailer | Scope.Scope>()

    const retrying = bus.on("Ping", () => Effect.flatMap(Database, (database) => database.save), {
      retry: null as unknown as Schedule.Schedule<number, unknown, never, Mailer>
    })
    expectTypeOf<Parts<typeof retrying>["r"]>().toEqualTypeOf<Database | Mailer | Scope.Scope>()
  })

  it("knows what the handler fails with", () => {
    bus.on("Ping", () => Effect.fail("full" as const), {
      retry: Schedule.recurs(3),
      onFailure: (event, cause) => {
        expectTypeOf(event).toEqualTypeOf<Ping>()
        expectTypeOf(cause).toEqualTypeOf<Cause.Cause<"full">>()
        return Effect.void
      }
    })
    const forFull = Schedule.setInputType<"full">()(Schedule.recurs(3))
    bus.on("Ping", () => Effect.fail("full" as const), { retry: forFull })
    bus.on("Ping", () => Effect.fail("full" as const), {
      retry: ($) =>
        $(Schedule.recurs(3)).pipe(Schedule.while(({ input }) => {
          expectTypeOf(input).toEqualTypeOf<"full">()
          return true
        }))
    })
    const byMail: Schedule.Schedule<number, "full", never, Mailer> = null as never
    const mailing = bus.on("Ping", () => Effect.fail("full" as const), { retry: ($) => $(byMail) })
    expectTypeOf<Parts<typeof mailing>["r"]>().toEqualTypeOf<Mailer | Scope.Scope>()
    bus.on("Ping", () => Effect.fail("full" as const), {
      // @ts-expect-error the schedule is for other failures
      retry: ($) => $(Schedule.setInputType<"empty">()(Schedule.recurs(3)))
    })
    const forOthers = Schedule.setInputType<"empty">()(Schedule.recurs(3))
    bus.on("Ping", () => Effect.fail("full" as const), {
      concurrency: 2,
      // @ts-expect-error the schedule is for other failures, and that is said here
      retry: forOthers
    })
    // @ts-expect-error onFailure cannot fail
    bus.on("Ping", () => Effect.fail("full"), { onFailure: () => Effect.fail("again") })
    // @ts-expect-error a handler is an effect
    bus.on("Ping", () => Promise.resolve())
  })
})

describe("consume", () => {
  it("narrows the stream by kind, and keeps what body and retry need but for a Scope", () => {
    const batching = bus.consume(["Ping", "Pong"], (events) => {
      expectTypeOf(events).toEqualTypeOf<Stream.Stream<Ping | Pong>>()
      return Effect.andThen(Effect.scope, Effect.flatMap(Database, (database) => database.save))
    }, { retry: null as unknown as Schedule.Schedule<number, Cause.Cause<"full">, never, Mailer>, drain: "1 second" })
    expectTypeOf<Parts<typeof batching>>().toEqualTypeOf<
      { a: SubscriptionHandle; e: never; r: Database | Mailer | Scope.Scope }
    >()
    bus.consume("Ping", () => Effect.fail("full" as const), {
      retry: ($) =>
        $(Schedule.recurs(3)).pipe(Schedule.while(({ input }) => {
          expectTypeOf(input).toEqualTypeOf<Cause.Cause<"full">>()
          return true
        }))
    })
    bus.consume("Ping", () => Effect.fail("full" as const), {
      // @ts-expect-error it sees the cause
      retry: null as unknown as Schedule.Schedule<number, "full">
    })
    // @ts-expect-error a body is an effect
    bus.consume("Ping", (events) => events)
  })
})

describe("awaitNext", () => {
  it("is an event of its kinds, or done", () => {
    expectTypeOf(bus.awaitNext(["Ping", "Pong"])).toEqualTypeOf<Effect.Effect<Ping | Pong, Cause.Done>>()
    expectTypeOf(bus.awaitNext("Ping", { where: { n: 1 } })).toEqualTypeOf<Effect.Effect<Ping, Cause.Done>>()
    // @ts-expect-error no such field
    bus.awaitNext("Ping", { where: { to: "a" } })
  })
})

describe("parts of a bus", () => {
  class PingBus extends EventBus.Service<PingBus>()("test/PingBus", { events: [Ping] }) {}
  class WiderBus extends EventBus.Service<WiderBus>()("test/WiderBus", { events: [...PingBus.events, Pong] }) {}
  class OtherPing
    extends Schema.TaggedClass<OtherPing>()("Ping", { other: Schema.Int, occurredAt: Schema.DateTimeUtc })
  {}
  class OtherBus extends EventBus.Service<OtherBus>()("test/OtherBus", { events: [OtherPing, Pong] }) {}

  it("a bus of more events is a publisher and a subscriber of fewer, not the other way round", () => {
    expectTypeOf<EventBus.EventBus<Ping | Pong>>().toExtend<EventBus.Publisher<Ping>>()
    expectTypeOf<EventBus.EventBus<Ping>>().not.toExtend<EventBus.Publisher<Ping | Pong>>()
    expectTypeOf<EventBus.EventBus<Ping | Pong>>().toExtend<EventBus.Subscriber<Ping>>()
    expectTypeOf<EventBus.EventBus<Ping>>().not.toExtend<EventBus.Subscriber<Ping | Pong>>()
    expectTypeOf<EventBus.EventBus<OtherPing>>().not.toExtend<EventBus.Subscriber<Ping>>()
    expectTypeOf<EventBus.Subscriber<Ping | Pong>>().toExtend<EventBus.Subscriber<Pong>>()
    expectTypeOf<EventBus.EventBus<Ping | Pong>>().not.toExtend<EventBus.EventBus<Ping>>()
  })

  it("a part uses its half as it would the bus", () => {
    const part = (bus: EventBus.Publisher<Pong> & EventBus.Subscriber<Ping>) =>
      bus.on("Ping", ({ n, occurredAt }) => bus.publish(new Pong({ to: String(n), occurredAt })))
    expectTypeOf(part(bus)).toEqualTypeOf<Effect.Effect<SubscriptionHandle, never, Scope.Scope>>()
    const subscriber: EventBus.Subscriber<Ping> = bus
    // @ts-expect-error not of this part
    subscriber.subscribe({ kinds: ["Pong"] })
  })

  it("a view needs the wider bus, which must have the very same events", () => {
    expectTypeOf(PingBus.layerFrom(WiderBus)).toEqualTypeOf<Layer.Layer<PingBus, never, WiderBus>>()
    expectTypeOf(WiderBus.kinds).toEqualTypeOf<readonly ["Ping", "Pong"]>()
    // @ts-expect-error "the bus does not carry these events, or carries others of the same _tag": "Pong"
    WiderBus.layerFrom(PingBus)
    // @ts-expect-error another schema
    PingBus.layerFrom(OtherBus)
    expectTypeOf<EventBus.Covers<typeof WiderBus.events, typeof PingBus.events>>().toEqualTypeOf<
      { readonly "the bus does not carry these events, or carries others of the same _tag": "Pong" }
    >()
  })

  it("a bus that forgets to name itself does not compile", () => {
    // @ts-expect-error "Write EventBus.Service<MyBus>()(…): the type parameter is missing"
    EventBus.Service()("test/Nameless", { events: [Ping] })
  })
})

describe("the counters", () => {
  it("are known by kind", () => {
    expectTypeOf<Parts<typeof bus.metrics>["a"]["publishedByKind"]>().toEqualTypeOf<
      { readonly Ping: number; readonly Pong: number }
    >()
  })
})

describe("make", () => {
  it("gives a bus of the events, for as long as the scope", () => {
    expectTypeOf(EventBus.make({ events: [Ping, Pong] })).toEqualTypeOf<
      Effect.Effect<EventBus.EventBus<Ping | Pong>, never, Scope.Scope>
    >()
    // @ts-expect-error there is nothing to carry
    EventBus.make({})
  })
})

describe("outside Effect", () => {
  it("narrows the event as well", () => {
    Effect.map(EventBus.toCallbacks(bus), (callbacks) => {
      callbacks.subscribe("Ping", (event) => {
        expectTypeOf(event).toEqualTypeOf<Ping>()
      })
      expectTypeOf(callbacks.events(["Pong"])).toEqualTypeOf<EventBus.Events<Pong>>()
      callbacks.subscribe("Ping", () => {}, { where: { n: 1 } })
      callbacks.events("Pong", { where: { to: "a" } })
      // @ts-expect-error no such field
      callbacks.subscribe("Ping", () => {}, { where: { to: "a" } })
      // @ts-expect-error no such kind
      callbacks.subscribe("Pung", () => {})
    })
  })
})
