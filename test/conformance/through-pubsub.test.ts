/**
 * The bus with everything that Effect's own functions can do done by them: a release of Effect that moves what the bus leans
 * on fails here. Only `takeBetween` is the bus's own: that of `PubSub` forgets what it holds when the end comes.
 */
import { describe, it } from "@effect/vitest"
import { EventBus, type Subscription } from "@openwatch/event-bus"
import { Conformance } from "@openwatch/event-bus-conformance"
import { Cause, Effect, PubSub, Stream } from "effect"

/** The end is an interruption for a take of `PubSub`, and `Cause.Done` for one of the bus. */
const done = <A>(take: Effect.Effect<A>): Effect.Effect<A, Cause.Done> =>
  Effect.catchCause(take, (cause) => Cause.hasInterruptsOnly(cause) ? Cause.done() : Effect.failCause(cause))

const takenThroughPubSub = <E>(subscription: Subscription<E>): Subscription<E> => {
  const takes: Record<PropertyKey, unknown> = {
    take: done(PubSub.take(subscription)),
    takeAll: done(PubSub.takeAll(subscription)),
    takeUpTo: (n: number) => done(PubSub.takeUpTo(subscription, n)),
    stream: Stream.fromSubscription(subscription)
  }
  return new Proxy(subscription, { get: (target, key) => takes[key] ?? Reflect.get(target, key, target) })
}

const harness: Conformance.Harness = {
  make: (options) =>
    Effect.gen(function*() {
      const bus = yield* EventBus.make({ ...options, events: Conformance.events })
      const pubsub = yield* bus.asPubSub({ kinds: bus.kinds })
      return {
        ...bus,
        publish: (event) => Effect.asVoid(PubSub.publish(pubsub, event)),
        publishAll: (events) => Effect.asVoid(PubSub.publishAll(pubsub, events)),
        publishUnsafe: (event) => void PubSub.publishUnsafe(pubsub, event),
        subscribe: (options) => Effect.map(bus.subscribe(options), takenThroughPubSub)
      }
    }),
  offers: Conformance.capabilities
}

describe("EventBus through PubSub", () => {
  for (const { name, run, topic } of Conformance.situationsFor(harness)) {
    it.effect(`${topic}: ${name}`, () => run(harness), 60_000)
  }
})
