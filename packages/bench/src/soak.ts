/**
 * `npm run soak`: a bus in use for a minute, or for hours, by publishers, takers, handlers, comers and goers and stuck
 * ones, with the laws of the bus checked all along.
 */
import { EventBus, type Subscription } from "@openwatch/event-bus"
import { DateTime, Duration, Effect, Exit, Fiber, Logger, Schema, Scope, Stream } from "effect"
import { setImmediate } from "node:timers/promises"
import { parseArgs } from "node:util"

const usage = `Usage: npm run soak -- [options]

  --duration TIME  how long, as "90 seconds" or "2 hours"; default "1 minute"
  --seed NUMBER    what a run with this seed did is done again, but for the timing
  --help`

const { values } = parseArgs({
  options: {
    duration: { type: "string", default: "1 minute" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    help: { type: "boolean", default: false }
  }
})
if (values.help) {
  console.log(usage)
  process.exit(0)
}
const duration = Duration.fromInput(values.duration as Duration.Input)
const seed = Number(values.seed)
if (duration._tag === "None" || !Number.isInteger(seed)) {
  console.error(`"${values.duration}" is no time, or "${values.seed}" is no whole number\n\n${usage}`)
  process.exit(2)
}
const millis = Duration.toMillis(duration.value)

const fields = { n: Schema.Int, occurredAt: Schema.DateTimeUtc }
class Red extends Schema.TaggedClass<Red>()("Red", fields) {}
class Green extends Schema.TaggedClass<Green>()("Green", fields) {}
class Blue extends Schema.TaggedClass<Blue>()("Blue", fields) {}
const classes = [Red, Green, Blue] as const
const kinds = ["Red", "Green", "Blue"] as const
type Event = Red | Green | Blue

/** mulberry32, a small generator with a good enough spread: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
let state = seed
const random = (): number => {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}
const below = (n: number): number => Math.floor(random() * n)
const oneOf = <A>(choices: ReadonlyArray<A>): A => choices[below(choices.length)]!

/** A subscriber that came, and how to make it go. */
interface Subscriber {
  readonly name: string
  readonly subscription: Subscription<Event> | undefined
  /** How many events its taker waits for now: 0 while it is busy. */
  waitsFor: number
  readonly leave: Effect.Effect<void>
}

const fail = (message: string): never => {
  throw new Error(`seed ${seed}: ${message}`)
}

const program = Effect.gen(function*() {
  const bus = yield* EventBus.make({ name: "soak", events: classes, replay: 8 })
  const subscribers = new Set<Subscriber>()
  let published = 0
  let arrivals = 0

  const arrive = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const name = oneOf(["taker", "batch", "between", "stream", "handler", "stuck"] as const)
    const options = {
      name,
      kinds: kinds.filter(() => random() < 0.6),
      bufferSize: oneOf([1, 2, 3, 16, 255, 256, 257, 1024]),
      overflow: oneOf(["dropping", "sliding"] as const)
    }
    const replay = Math.min(options.bufferSize, below(9))
    const subscriber = {
      name: `${name} ${++arrivals}`,
      subscription: undefined,
      waitsFor: 0,
      leave: Scope.close(scope, Exit.void)
    }
    if (name === "handler") {
      yield* bus.on(options.kinds, (event) => event.n % 97 === 0 ? Effect.fail("now and then") : Effect.void, {
        ...options,
        replay,
        concurrency: 1 + below(3),
        drain: oneOf([undefined, "10 millis"])
      }).pipe(Scope.provide(scope))
      subscribers.add(subscriber)
      return
    }
    const subscription = yield* bus.subscribe({ ...options, replay }).pipe(Scope.provide(scope))
    const taker: Subscriber = { ...subscriber, subscription }
    subscribers.add(taker)
    const waiting = <A, E>(count: number, take: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        taker.waitsFor = count
        return Effect.onExit(take, () =>
          Effect.sync(() => {
            taker.waitsFor = 0
          }))
      })
    const min = Math.min(options.bufferSize, 1 + below(4))
    const run: Effect.Effect<unknown, unknown> | undefined = {
      taker: Effect.forever(waiting(1, subscription.take)),
      batch: Effect.forever(waiting(1, subscription.takeAll)),
      between: Effect.forever(waiting(min, subscription.takeBetween(min, 2 * min))),
      stream: Stream.runDrain(subscription.stream),
      stuck: undefined
    }[name]
    if (run !== undefined) yield* Effect.forkIn(Effect.ignore(run), scope)
  })

  const leave = (subscriber: Subscriber) =>
    Effect.suspend(() => {
      subscribers.delete(subscriber)
      return subscriber.leave
    })

  const check = Effect.gen(function*() {
    const snapshots = yield* bus.subscriptions
    for (const snapshot of snapshots) {
      const { bufferSize, delivered, discarded, dropped, offered, pending, taken } = snapshot
      if (offered !== delivered + dropped || delivered !== taken + pending + discarded || pending > bufferSize) {
        fail(`the counters do not add up: ${JSON.stringify(snapshot)}`)
      }
    }
    const metrics = yield* bus.metrics
    if (metrics.publishedCount !== published) {
      fail(`${published} events were published, but ${metrics.publishedCount} counted`)
    }
    for (const { name, subscription, waitsFor } of subscribers) {
      if (subscription === undefined || waitsFor === 0) continue
      const { pending } = yield* subscription.snapshot
      if (pending >= waitsFor) fail(`${name} was not woken: it waits for ${waitsFor}, and ${pending} are pending`)
    }
  })

  const turns = Effect.promise(async () => {
    // The wake-ups are scheduled in the first turn and have run by the second.
    for (let turn = 0; turn < 2; turn++) await setImmediate()
  })

  const heaps: Array<number> = []
  const measureHeap = Effect.sync(() => {
    for (let i = 0; i < 2; i++) globalThis.gc!()
    heaps.push(process.memoryUsage().heapUsed)
  })

  for (let i = 0; i < 50; i++) yield* arrive
  const start = performance.now()
  const samples = 20
  let rounds = 0
  while (performance.now() - start < millis) {
    for (let change = below(4); change > 0; change--) {
      // As many come as go.
      if (subscribers.size < 25 + below(50)) yield* arrive
      else yield* leave(oneOf(Array.from(subscribers)))
    }
    for (let n = below(300); n > 0; n--) {
      const Kind = oneOf(classes)
      bus.publishUnsafe(new Kind({ n: ++published, occurredAt: DateTime.makeUnsafe(published) }))
    }
    yield* turns
    yield* check
    rounds++
    if (performance.now() - start > (heaps.length + 1) * millis / samples) yield* measureHeap
  }
  for (const subscriber of subscribers) yield* leave(subscriber)
  yield* turns
  if ((yield* bus.subscriptions).length > 0) fail("subscriptions are left after all have gone")

  // The first half may grow: code is compiled, buffers fill up. The second half is flat.
  const mean = (of: ReadonlyArray<number>) => of.reduce((sum, heap) => sum + heap, 0) / of.length
  const third = heaps.slice(heaps.length >> 1, Math.ceil(heaps.length * 3 / 4))
  const fourth = heaps.slice(Math.ceil(heaps.length * 3 / 4))
  const growth = mean(fourth) / mean(third)
  if (growth > 1.25) fail(`the heap grows: ${heaps.map((heap) => `${Math.round(heap / 1e6)} MB`).join(", ")}`)

  const { deliveredCount, droppedCount } = yield* bus.metrics
  console.log(
    `${rounds} rounds, ${arrivals} subscriptions, ${published} events published, ${deliveredCount} delivered, ` +
      `${droppedCount} dropped; the heap ended at ${Math.round(mean(fourth) / 1e6)} MB (${growth.toFixed(2)}x)`
  )
})

console.log(`soaking for ${Duration.format(duration.value)}, seed ${seed}`)
const fiber = Effect.runFork(Effect.scoped(program).pipe(Effect.provide(Logger.layer([]))))
const exit = await Effect.runPromise(Fiber.await(fiber))
if (Exit.isFailure(exit)) {
  console.error(exit.cause)
  process.exit(1)
}
