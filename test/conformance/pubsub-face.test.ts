import { describe, it } from "@effect/vitest"
import { EventBus, type Subscription } from "@openwatch/event-bus"
import { Conformance } from "@openwatch/event-bus/testing"
import { Cause, Effect, PubSub, Stream } from "effect"

/** What `PubSub` answers with an interruption is the end. */
const done = <A>(take: Effect.Effect<A>): Effect.Effect<A, Cause.Done> =>
  Effect.catchCause(take, (cause) => Cause.hasInterruptsOnly(cause) ? Cause.done() : Effect.failCause(cause))

/** `PubSub.takeBetween` forgets what it holds when it is interrupted, or when the end comes: that one stays the bus's. */
const throughPubSub = <E>(self: Subscription<E>): Subscription<E> => {
  const own: Record<PropertyKey, unknown> = {
    take: done(PubSub.take(self)),
    takeAll: done(PubSub.takeAll(self)),
    takeUpTo: (n: number) => done(PubSub.takeUpTo(self, n)),
    stream: Stream.fromSubscription(self)
  }
  return new Proxy(self, { get: (target, key) => own[key] ?? Reflect.get(target, key, target) })
}

const harness: Conformance.Harness = {
  make: (options) =>
    Effect.map(EventBus.make({ ...options, events: Conformance.events }), (bus) =>
      Object.create(bus, {
        subscribe: { value: (options: any) => Effect.map(bus.subscribe(options) as any, throughPubSub as any) },
        publish: {
          value: (event: any) => Effect.flatMap(bus.asPubSub({ kinds: bus.kinds }), (hub) => PubSub.publish(hub, event))
        },
        publishAll: {
          value: (events: any) =>
            Effect.flatMap(bus.asPubSub({ kinds: bus.kinds }), (hub) => PubSub.publishAll(hub, events))
        }
      })),
  offers: Conformance.capabilities
}

describe("EventBus through PubSub", () => {
  for (const { name, run, topic } of Conformance.situationsFor(harness)) {
    it.effect(`${topic}: ${name}`, () => run(harness), 60_000)
  }
})
