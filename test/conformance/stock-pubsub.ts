/**
 * Effect's own `PubSub` as people build a bus on it: one `PubSub` that all subscribers share, filters behind it, streams
 * and handlers from its subscriptions. What it fails of the suite is why the event bus exists.
 */
import type { Conformance } from "@openwatch/event-bus-conformance"
import { Cause, Effect, Exit, Latch, PubSub, Scope, Stream } from "effect"

/** How the bus is built, where there is a choice. */
export interface StockOptions {
  readonly overflow: "dropping" | "sliding"
  /**
   * What ends the bus. `"shutdown"`, the usual way, is `PubSub.shutdown`. `"end"` is `PubSub.end` with a value that no
   * event is.
   */
  readonly ending: "shutdown" | "end"
  /**
   * When a stream subscribes. `"eager"`: `Stream.fromSubscription` of a subscription that exists. `"lazy"`, the usual way:
   * `Stream.fromPubSub`, which subscribes when it is first read.
   */
  readonly streams: "eager" | "lazy"
}

const End = Symbol("End")
type Item = Conformance.Event | typeof End

/** What `PubSub` offers of the suite: of the two policies its own; no counters, no buffer for each subscriber, no drain. */
const offers = (overflow: "dropping" | "sliding"): ReadonlyArray<Conformance.Capability> => [
  overflow,
  "synchronous",
  "publishUnsafe",
  "replay",
  "handlers"
]

export const stockPubSub = (options: StockOptions): Conformance.Harness => ({
  offers: offers(options.overflow),
  make: ({ bufferSize = 1024, replay = 0 }) => makeBus(options, { capacity: bufferSize, replay }),
  // So that what is expected to fail does so in each run.
  seeds: [1, 2, 3]
})

const makeBus = (
  { ending, overflow, streams }: StockOptions,
  sizes: { readonly capacity: number; readonly replay: number }
): Effect.Effect<Conformance.TestedBus, never, Scope.Scope> =>
  Effect.gen(function*() {
    let isOver = false
    const ended = yield* Latch.make()
    const pubsub = yield* (overflow === "dropping" ? PubSub.dropping<Item>(sizes) : PubSub.sliding<Item>(sizes))
    const shutdown = Effect.gen(function*() {
      isOver = true
      yield* ending === "shutdown" ? PubSub.shutdown(pubsub) : PubSub.end(pubsub, End)
      yield* ended.open
    })
    yield* Effect.addFinalizer(() => shutdown)

    const subscribe = ({ kinds }: { readonly kinds: ReadonlyArray<Conformance.Kind> }) =>
      Effect.gen(function*() {
        const scope = Scope.forkUnsafe(yield* Effect.scope)
        const subscription = yield* Scope.provide(PubSub.subscribe(pubsub), scope)
        const matches = (item: Item): item is Conformance.Event => item !== End && kinds.includes(item._tag)

        const take: Effect.Effect<Conformance.Event, Cause.Done> = Effect.suspend(() =>
          Effect.flatMap(
            doneOnInterrupt(PubSub.take(subscription)),
            (item) => item === End ? Cause.done() : matches(item) ? Effect.succeed(item) : take
          )
        )
        const takeAll: Effect.Effect<ReadonlyArray<Conformance.Event>, Cause.Done> = Effect.suspend(() =>
          Effect.flatMap(doneOnInterrupt(PubSub.takeAll(subscription)), (items) => {
            const events = items.filter(matches)
            if (events.length > 0) return Effect.succeed(events)
            return items.includes(End) ? Cause.done() : takeAll
          })
        )
        const takeUpTo = Effect.fnUntraced(function*(n: number) {
          const events: Array<Conformance.Event> = []
          while (events.length < n) {
            const items = yield* doneOnInterrupt(PubSub.takeUpTo(subscription, 1))
            if (items.length === 0) break
            events.push(...items.filter(matches))
          }
          return events
        })
        const takeBetween = Effect.fnUntraced(function*(min: number, max: number) {
          const events = yield* takeUpTo(max)
          while (events.length < min) {
            const exit = yield* Effect.exit(take)
            if (Exit.isSuccess(exit)) events.push(exit.value)
            else if (events.length > 0 && isOver) break
            else yield* exit
          }
          return events
        })
        const items = streams === "eager" ? Stream.fromSubscription(subscription) : Stream.fromPubSub(pubsub)
        return {
          take,
          takeAll,
          takeUpTo,
          takeBetween,
          stream: items.pipe(Stream.takeWhile((item) => item !== End), Stream.filter(matches)),
          unsubscribe: Scope.close(scope, Exit.void)
        }
      })

    return {
      publish: (event) => Effect.asVoid(PubSub.publish(pubsub, event)),
      publishAll: (events) => Effect.asVoid(PubSub.publishAll(pubsub, events)),
      publishUnsafe: (event) => PubSub.publishUnsafe(pubsub, event),
      subscribe,
      on: (kinds, handler, { concurrency = 1 } = {}) =>
        Effect.gen(function*() {
          const scope = Scope.forkUnsafe(yield* Effect.scope)
          const { stream } = yield* Scope.provide(subscribe({ kinds }), scope)
          yield* stream.pipe(
            Stream.mapEffect(handler, { concurrency, unordered: concurrency > 1 }),
            Stream.runDrain,
            Effect.forkIn(scope)
          )
          return { unsubscribe: Scope.close(scope, Exit.void) }
        }),
      shutdown,
      awaitShutdown: ended.await
    }
  })

/** Takers of a `PubSub` that is shut down, or of a closed subscription, are interrupted: as `Stream` does, take it for an end. */
const doneOnInterrupt = <A>(take: Effect.Effect<A>): Effect.Effect<A, Cause.Done> =>
  Effect.catchCause(take, (cause) => Cause.hasInterruptsOnly(cause) ? Cause.done() : Effect.failCause(cause))

// -----------------------------------------------------------------------------
// What it fails
// -----------------------------------------------------------------------------

/** A situation that a bus of stock `PubSub` fails. */
export interface StockFailure {
  readonly situation: string
  readonly why: string
  /** With which policies. Default: both. */
  readonly policies?: ReadonlyArray<"dropping" | "sliding">
}

const runsInside = "`PubSub.publish` runs waiting takers, and what they do next, inside its own call"
const sharesBuffer = "all subscribers share one buffer: an event keeps its place until the slowest has taken it"
const filtersLate = "kinds are filtered behind the buffer: a flood of one fills it or empties it of another"
const takesEarly = "`PubSub.takeBetween` takes events as they come, and forgets them when it is interrupted"
const discards = "`PubSub.shutdown` discards what is buffered"
const endsWithHandler = "a stream ends with the first failure of its handler"
const replaysAll = "a `PubSub` replays to every subscriber, as many events as it was made with"
const replaysMixed = "a `PubSub` keeps the last events of all kinds together"
const replaysBeside = "replayed events are kept beside the buffer and are not bounded by it"

/** What a bus of stock `PubSub` fails: with `PubSub.shutdown`, and with streams that are subscribed eagerly. */
export const failures: ReadonlyArray<StockFailure> = [
  {
    situation: "publishUnsafe to a full sliding buffer evicts the oldest event, as publish does",
    why: "`PubSub.publishUnsafe` does not slide: it loses the newest event",
    policies: ["sliding"]
  },
  {
    situation: "a taker that waits makes no room: what comes before it wakes is dropped",
    why: runsInside,
    policies: ["dropping"]
  },
  {
    situation: "a taker that waits saves nothing: what is evicted before it wakes is not its",
    why: runsInside,
    policies: ["sliding"]
  },
  {
    situation: "a full dropping subscription costs no other subscription an event",
    why: sharesBuffer,
    policies: ["dropping"]
  },
  { situation: "a stuck handler keeps nothing from another", why: sharesBuffer, policies: ["dropping"] },
  { situation: "a handler that fails, dies or throws gets the next event", why: endsWithHandler },
  { situation: "a handler that ends interrupted gets the next event", why: endsWithHandler },
  { situation: "a taker that waits has not run when publish returns", why: runsInside },
  { situation: "a taker that waits has not run when publishUnsafe returns", why: runsInside },
  { situation: "a taker that waits has not run when publishAll returns", why: runsInside },
  { situation: "the consumer of a stream has not run when publish returns", why: runsInside },
  { situation: "a handler has not run when publish returns", why: runsInside },
  { situation: "a subscriber that publishes what another waits for runs to its end first", why: runsInside },
  {
    situation: "of thousands of takers that wait, none has run when publish returns, and all run then",
    why: runsInside
  },
  {
    situation: "a flood of one kind drops no event of a subscription to another",
    why: filtersLate,
    policies: ["dropping"]
  },
  {
    situation: "a flood of one kind evicts no event of a subscription to another",
    why: filtersLate,
    policies: ["sliding"]
  },
  { situation: "a takeAll that waits gets all that came before it woke", why: runsInside },
  { situation: "interrupting a takeBetween that waits for more loses nothing", why: takesEarly },
  {
    situation: "a take that waits behind a takeBetween gets what is there once that is interrupted",
    why: takesEarly
  },
  {
    situation: "a newcomer has a whole dropping buffer of its own while another's is full",
    why: sharesBuffer,
    policies: ["dropping"]
  },
  {
    situation: "a taker that has not woken when its subscription is unsubscribed gets nothing",
    why: runsInside
  },
  {
    situation: "a handler that unsubscribes itself finishes its event, and no other begins",
    why: "a stream takes all that is buffered at once, and its handler gets it whatever happens then"
  },
  { situation: "what was accepted before shutdown is still taken, then takes are done", why: discards },
  { situation: "a dropping buffer that is full at shutdown is taken whole", why: discards, policies: ["dropping"] },
  { situation: "a sliding buffer that is full at shutdown is taken whole", why: discards, policies: ["sliding"] },
  { situation: "a stream ends after the last accepted event", why: discards },
  { situation: "publishing after shutdown does nothing", why: `${discards}: what came before it is lost too` },
  { situation: "shutting down twice is shutting down once", why: discards },
  { situation: "shutdown returns while subscribers are stuck", why: `it returns, but ${discards}` },
  { situation: "unsubscribing after shutdown gives up what was accepted", why: `${discards}, of all subscribers` },
  { situation: "handlers finish what was accepted before shutdown", why: discards },
  {
    situation: "closing the bus's scope interrupts handlers that do not drain",
    why: "a `PubSub` does not know what is done with its events: handlers run on"
  },
  { situation: "a subscription may ask for fewer than the bus keeps, and gets the newest", why: replaysAll },
  { situation: "a subscription that does not ask for the last events has none of them", why: replaysAll },
  { situation: "a flood of one kind leaves the last events of another to be replayed", why: replaysMixed },
  {
    situation: "the last events of several kinds are replayed in the order in which they were published",
    why: replaysMixed
  },
  { situation: "replayed events fill the buffer as others do", why: replaysBeside, policies: ["dropping"] },
  { situation: "replayed events are evicted as others are", why: replaysBeside, policies: ["sliding"] },
  {
    situation: "publishing, taking, coming and going at random do what a model of a dropping bus does",
    why: sharesBuffer,
    policies: ["dropping"]
  },
  {
    situation: "publishing, taking, coming and going at random do what a model of a sliding bus does",
    why: filtersLate,
    policies: ["sliding"]
  },
  { situation: "shutdown at a random moment: what was accepted is taken, in order, and nothing else", why: discards }
]

/** What changes with `PubSub.end` instead of `PubSub.shutdown`. */
export const withEnd: {
  readonly passes: (policy: "dropping" | "sliding") => ReadonlyArray<string>
  readonly fails: ReadonlyArray<StockFailure>
} = {
  passes: (policy) => [
    `a ${policy} buffer that is full at shutdown is taken whole`,
    "a stream ends after the last accepted event",
    "publishing after shutdown does nothing",
    "shutting down twice is shutting down once",
    "shutdown returns while subscribers are stuck",
    "unsubscribing after shutdown gives up what was accepted",
    "handlers finish what was accepted before shutdown",
    "shutdown at a random moment: what was accepted is taken, in order, and nothing else"
  ],
  fails: [
    {
      situation: "a subscription made after shutdown has already ended",
      why: "`PubSub.takeUpTo` never reports the end: it gives no events for ever"
    },
    {
      situation: "nothing is replayed to a subscription made after shutdown",
      why: "an ended `PubSub` still replays"
    }
  ]
}

const subscribesLate = "`Stream.fromPubSub` subscribes when it is first read: what was published until then is lost"
const ownSubscription = "each run of `Stream.fromPubSub` is a subscription of its own"

/** What fails in addition with `Stream.fromPubSub` instead of `Stream.fromSubscription`. */
export const withLazyStreams: ReadonlyArray<StockFailure> = [
  { situation: "a stream brings what was published before it was first read", why: subscribesLate },
  { situation: "a handler gets the events in order, one at a time", why: subscribesLate },
  { situation: "a stuck handler keeps nothing from another", why: subscribesLate },
  { situation: "a handler that fails costs another handler nothing", why: subscribesLate },
  { situation: "concurrency bounds how many events a subscription handles at a time", why: subscribesLate },
  { situation: "a handler that publishes its own kind is not run inside itself", why: subscribesLate },
  { situation: "takers of one subscription share its events, each goes to one", why: ownSubscription },
  { situation: "unsubscribing ends a stream", why: ownSubscription },
  { situation: "unsubscribing a handler interrupts it, and no event is handled after it", why: subscribesLate },
  { situation: "a handler may shut the bus down: it and what was accepted are handled", why: subscribesLate }
]
