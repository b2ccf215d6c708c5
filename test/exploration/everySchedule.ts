/**
 * The bounds of the explorations here, and the stage on which their programs play: a bus whose laws are looked after.
 */
import { assert } from "@effect/vitest"
import { EventBus, type Subscription, type SubscriptionHandle, type SubscriptionSnapshot } from "@openwatch/event-bus"
import { Explorer } from "@openwatch/event-bus-conformance"
import { DateTime, Effect, Exit, Schema, Scope, type Stream } from "effect"

const occurredAt = DateTime.makeUnsafe(0)
const fields = { n: Schema.Int, occurredAt: Schema.DateTimeUtc }

export class Ping extends Schema.TaggedClass<Ping>()("Ping", fields) {}
export class Pong extends Schema.TaggedClass<Pong>()("Pong", fields) {}

export type Event = Ping | Pong

export const ping = (n: number): Ping => new Ping({ n, occurredAt })
export const pong = (n: number): Pong => new Pong({ n, occurredAt })

/** With `EXPLORATION=full` those of the explorer itself; else what a check has time for. */
const bounds: Explorer.Options = process.env["EXPLORATION"] === "full" ? {} : { maxSchedules: 3_000, samples: 200 }

/** Runs the program under every schedule within the bounds: at least under all with one preemption. */
export const everySchedule = <A, E>(
  program: Effect.Effect<A, E>,
  options: Explorer.Options = {}
): Effect.Effect<void, Explorer.ExplorationFailure> =>
  Effect.map(Explorer.explore(program, { ...bounds, ...options }), ({ complete }) => {
    assert.isAtLeast(complete.length, 2, "The program has too many schedules with one preemption: make it smaller")
  })

/** What each snapshot must obey, whenever it is taken. */
export const assertLawful = (snapshot: SubscriptionSnapshot): void => {
  const { delivered, discarded, dropped, name, offered, pending, taken } = snapshot
  const counters = JSON.stringify(snapshot)
  assert.strictEqual(offered, delivered + dropped, `offered = delivered + dropped of ${name}: ${counters}`)
  assert.strictEqual(delivered, taken + pending + discarded, `delivered = taken + pending + discarded: ${counters}`)
  if (snapshot.handled === undefined) return
  const { failures, handled, interrupted = 0, running } = snapshot
  assert.strictEqual(
    taken,
    handled + failures + interrupted + running,
    `taken = handled + failures + interrupted + running: ${counters}`
  )
}

/** A bus, and its subscriptions, whose counters are checked when one comes, and at the end. */
export interface Stage {
  readonly bus: EventBus.EventBus<Event>
  readonly subscribe: (
    options?:
      & { readonly kinds?: ReadonlyArray<Event["_tag"]>; readonly where?: EventBus.Where<Event> }
      & EventBus.BufferOptions
  ) => Effect.Effect<Subscription<Event>, never, Scope.Scope>
  readonly on: <E>(
    handler: (event: Event, handle: SubscriptionHandle) => Effect.Effect<unknown, E, Scope.Scope>,
    options?: EventBus.HandlerOptions<Event, E, never> & { readonly kinds?: ReadonlyArray<Event["_tag"]> }
  ) => Effect.Effect<SubscriptionHandle, never, Scope.Scope>
  readonly consume: <E>(
    body: (events: Stream.Stream<Event>) => Effect.Effect<unknown, E, Scope.Scope>,
    options?: EventBus.ConsumeOptions<Event, E, never>
  ) => Effect.Effect<SubscriptionHandle, never, Scope.Scope>
  /** Looks after a subscription that was made otherwise. */
  readonly watch: <S extends { readonly snapshot: Effect.Effect<SubscriptionSnapshot> }>(subscription: S) => S
  /** Says that there will be subscriptions that are not looked after. */
  readonly withOthers: Effect.Effect<void>
  /** Checks all counters now. */
  readonly lawful: Effect.Effect<void>
}

/**
 * A program on a bus of its own: it ends when the body has ended and the bus is closed. The laws of the counters hold then,
 * and every subscription is closed.
 */
export const onBus = <E>(
  body: (stage: Stage) => Effect.Effect<unknown, E, Scope.Scope>,
  options: EventBus.Options = {}
): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const bus = yield* Scope.provide(EventBus.make({ ...options, name: "explored", events: [Ping, Pong] }), scope)
    const snapshots: Array<Effect.Effect<SubscriptionSnapshot>> = []
    const watch = <S extends { readonly snapshot: Effect.Effect<SubscriptionSnapshot> }>(subscription: S): S => {
      snapshots.push(subscription.snapshot)
      return subscription
    }
    let hasOthers = false
    const snapshotsNow = Effect.suspend(() => Effect.all(snapshots))
    const lawful = Effect.map(snapshotsNow, (snapshots) => snapshots.forEach(assertLawful))
    yield* Effect.scoped(body({
      bus,
      watch,
      subscribe: (options) => Effect.map(bus.subscribe({ kinds: bus.kinds, ...options }), watch),
      withOthers: Effect.sync(() => {
        hasOthers = true
      }),
      on: (handler, options) => Effect.map(bus.on(options?.kinds ?? bus.kinds, handler, options), watch),
      consume: (body, options) => Effect.map(bus.consume(bus.kinds, body, options), watch),
      lawful
    }))
    yield* lawful
    yield* Scope.close(scope, Exit.void)
    yield* lawful
    const all = yield* snapshotsNow
    for (const { name, running, state } of all) assert.deepStrictEqual([name, state, running], [name, "closed", 0])
    if (hasOthers) return
    const { deliveredCount, droppedCount } = yield* bus.metrics
    const sum = (counter: "delivered" | "dropped") => all.reduce((sum, snapshot) => sum + snapshot[counter], 0)
    assert.deepStrictEqual([deliveredCount, droppedCount], [sum("delivered"), sum("dropped")])
  })
