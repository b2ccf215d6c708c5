/**
 * The events of a bus, numbered, and passed on to any number of clients.
 *
 * One subscription of the bus numbers the events, and encodes each of them once. The last ones stay in a ring. All go
 * to an inner bus, and every client is a subscription of that. So however many clients there are, the inspected bus has
 * one more subscription, which is an observer.
 */
import { EventBus, type Subscription } from "@openwatch/event-bus"
import {
  Array as Arr,
  Cause,
  DateTime,
  Effect,
  Formatter,
  Metric,
  type Pull,
  Schedule,
  Schema,
  type Scope,
  Stream
} from "effect"

/** One event as its clients receive it: the same bytes for all. */
const Numbered = Schema.TaggedStruct("Numbered", {
  n: Schema.Int,
  bytes: Schema.Uint8Array,
  occurredAt: Schema.DateTimeUtc
})
type Numbered = typeof Numbered.Type

/**
 * Sent first, so that the server sends its headers at once. Sent again now and then, so that a client that is gone is
 * noticed, and no proxy takes the connection for idle.
 */
const KeepAlive = Schema.TaggedStruct("KeepAlive", { occurredAt: Schema.DateTimeUtc })
type KeepAlive = typeof KeepAlive.Type

/** How many events the ring keeps. */
export const ringSize = 1000

/** How many characters the JSON of an event may have. So there is a bound to what the ring holds, and the buffer of a client. */
const longestJson = 100_000

/** How long reading the events from before the start may take. */
const pastPatience = "10 seconds"

/** How many of the events from before the start may also come by the bus. */
const pastMayOverlap = 100

/** How many events may wait for a client that does not read. */
const clientBufferSize = 1024

/** How many events are written at a time. A client that does not read may hold so many besides its buffer. */
const batchSize = 64

const utf8 = new TextEncoder()
const keepAliveBytes = utf8.encode(":\n\n")

const frame = (event: string, data: string, id?: string): Uint8Array =>
  utf8.encode(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`)

const lost = (missed: number): Uint8Array => frame("lost", JSON.stringify({ missed }))
const gap = (missed: number | null, id: string): Uint8Array => frame("gap", JSON.stringify({ missed }), id)

/** The numbered events of a bus. */
export interface EventLog {
  /** The first half of every id. */
  readonly start: string
  readonly startedAt: DateTime.Utc
  /** How many streams of {@link EventLog.after} run. */
  readonly clients: Effect.Effect<number>
  /** Whether the bus has shut down: what it had last is numbered, and nothing more will come. */
  readonly isShutdown: Effect.Effect<boolean>
  /**
   * Server-sent events: those in the ring that come after the id, or all of the ring, and then each event as it is
   * published. Ends when the scope of the log closes.
   */
  readonly after: (lastEventId: string | undefined) => Stream.Stream<Uint8Array>
}

/** What can still be read of an event that cannot be encoded. Of a revoked Proxy nothing can be read. */
const readable = (event: EventBus.AnyEvent): object => {
  try {
    return { _tag: event._tag, occurredAt: DateTime.formatIso(event.occurredAt) }
  } catch {
    return { _tag: "(cannot be read)" }
  }
}

/** What is known of the events of a bus. */
export interface Source<Event> {
  readonly encode: (event: Event) => unknown
  readonly describe: ((event: Event) => string) | undefined
  /** The events from before the start, oldest first. */
  readonly past: Effect.Effect<ReadonlyArray<Event>>
}

/** Follows the bus until the scope closes. */
export const make = Effect.fnUntraced(function*<Event extends EventBus.AnyEvent>(
  bus: EventBus.EventBus<Event>,
  { describe, encode, past }: Source<Event>
): Effect.fn.Return<EventLog, never, Scope.Scope> {
  const startedAt = yield* DateTime.now
  const start = DateTime.toEpochMillis(startedAt).toString(36)
  // Its metrics are nobody's business: they go to a registry of their own.
  const inner = yield* Effect.provideService(
    EventBus.make({ name: `${bus.name}/inspector`, events: [Numbered, KeepAlive] }),
    Metric.MetricRegistry,
    new Map()
  )
  // At most twice `ringSize`, so that one in a thousand events pays for the copy.
  let kept: Array<Numbered> = []
  let newest = 0

  const json = (event: Event): string => {
    try {
      const encoded = encode(event)
      const json = JSON.stringify(
        describe === undefined ? encoded : { ...encoded as object, sentence: describe(event) }
      )
      return json.length <= longestJson
        ? json
        : JSON.stringify({ ...readable(event), tooLarge: `it has ${json.length} characters, more than ${longestJson}` })
    } catch (error) {
      // Untyped code can publish what its own schema refuses, and a description may throw: the fault is shown.
      return JSON.stringify({ ...readable(event), unencodable: Formatter.format(error) })
    }
  }

  /** What is read of before the start may be published in between, too. */
  const shown = new Set<string>()

  const add = (text: string): void => {
    if (shown.delete(text)) return
    newest++
    const bytes = frame("bus-event", text, `${start}-${newest}`)
    // A bus wants a time of its events. Nobody reads this one: the event's own is in its bytes.
    const numbered: Numbered = { _tag: "Numbered", n: newest, bytes, occurredAt: startedAt }
    kept.push(numbered)
    if (kept.length >= 2 * ringSize) kept = kept.slice(-ringSize)
    inner.publishUnsafe(numbered)
  }

  // Sliding, and no smaller than the ring: what it evicts under a flood would not have stayed in the ring either. It looks on:
  // an event that only the inspector has seen had no subscriber.
  const subscription: Subscription<Event> = yield* bus.subscribe({
    kinds: bus.kinds,
    name: "inspector",
    bufferSize: 1024,
    overflow: "sliding",
    observer: true
  })
  let dropped = 0
  // Subscribed already, so that none is missed between what was and what comes. The start of others does not wait for it.
  const addPast = past.pipe(
    Effect.timeout(pastPatience),
    Effect.map((events) => {
      const texts = events.slice(-ringSize).map(json)
      for (const text of texts) add(text)
      for (const text of texts.slice(-pastMayOverlap)) shown.add(text)
    }),
    // What is published from now on is shown all the same.
    Effect.catchCause((cause) =>
      Effect.logWarning(
        `The inspector of ${bus.name} shows no events from before its start: they cannot be read`,
        cause
      )
    )
  )
  yield* subscription.takeAll.pipe(
    Effect.flatMap(Effect.fnUntraced(function*(events) {
      // What was evicted is older than what was taken, and takes up numbers: so every client sees the hole.
      const snapshot = yield* subscription.snapshot
      newest += snapshot.dropped - dropped
      dropped = snapshot.dropped
      for (const event of events) add(json(event))
    })),
    Effect.forever,
    (follow) => Effect.andThen(addPast, follow),
    Effect.catchIf(Cause.isDone, () => inner.shutdown),
    Effect.forkScoped
  )

  yield* DateTime.now.pipe(
    Effect.flatMap((occurredAt) => inner.publish({ _tag: "KeepAlive", occurredAt })),
    Effect.schedule(Schedule.spaced("15 seconds")),
    Effect.forkScoped
  )

  const ring = (): ReadonlyArray<Numbered> => kept.slice(-ringSize)

  /**
   * Where a client goes on: the number of the last event that it has, and what it is sent first. A gap has an id. So it
   * is sent once, and a client that comes back goes on after it.
   */
  const resume = (lastEventId: string | undefined, held: ReadonlyArray<Numbered>): [number, Array<Uint8Array>] => {
    const beforeRing = held.length === 0 ? newest : held[0]!.n - 1
    if (lastEventId === undefined || lastEventId === "") return [beforeRing, []]
    const [, itsStart, digits] = /^([0-9a-z]{1,16})-(\d{1,15})$/.exec(lastEventId) ?? []
    const n = Number(digits)
    if (itsStart !== start || n > newest) return [beforeRing, [gap(null, `${start}-${beforeRing}`)]]
    return n < beforeRing ? [beforeRing, [gap(beforeRing - n, `${start}-${beforeRing}`)]] : [n, []]
  }

  const after = (lastEventId: string | undefined): Stream.Stream<Uint8Array> =>
    Stream.unwrap(Effect.gen(function*() {
      // First live, then the ring: what comes in between is in both, and told apart by its number.
      const subscription = yield* inner.subscribe({
        kinds: ["Numbered", "KeepAlive"],
        name: "client",
        bufferSize: clientBufferSize,
        overflow: "sliding"
      })
      let held = ring()
      let [last, told] = resume(lastEventId, held)

      const toBytes = (events: ReadonlyArray<Numbered | KeepAlive>): Array<Uint8Array> => {
        const chunks: Array<Uint8Array> = []
        for (const event of events) {
          if (event._tag === "KeepAlive") chunks.push(keepAliveBytes)
          else if (event.n > last) {
            if (event.n > last + 1) chunks.push(lost(event.n - last - 1))
            last = event.n
            chunks.push(event.bytes)
          }
        }
        return chunks
      }

      // What was sent is let go of: a client that stays must not hold the ring that it found.
      const takeHeld = Effect.sync(() => {
        const batch = held.slice(0, batchSize)
        held = held.slice(batchSize)
        return batch
      })
      const take = Effect.suspend((): Effect.Effect<ReadonlyArray<Numbered | KeepAlive>, Cause.Done> =>
        held.length > 0 ? takeHeld : subscription.takeBetween(1, batchSize)
      )

      const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>> = Effect.flatMap(take, (events) => {
        if (events.length === 0) return Cause.done()
        const chunks = toBytes(events)
        // All of them may have been sent already: from the ring, or before this client left.
        return Arr.isArrayNonEmpty(chunks) ? Effect.succeed(chunks) : pull
      })
      return Stream.concat(Stream.fromIterable([keepAliveBytes, ...told]), Stream.fromPull(Effect.succeed(pull)))
    }))

  return {
    start,
    startedAt,
    clients: Effect.map(inner.subscriptions, (all) => all.length),
    isShutdown: Effect.map(subscription.snapshot, ({ state }) => state === "closed"),
    after
  }
})
