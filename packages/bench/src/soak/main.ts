/**
 * A bus in use for a minute, or for hours, with its laws checked all along: see `usage`.
 */
import { EventBus } from "@openwatch/event-bus"
import { Cause, Duration, Effect, Exit, Logger, Option, type Scope } from "effect"
import { setImmediate } from "node:timers/promises"
import { parseArgs } from "node:util"
import { heapUsed } from "../heap.ts"
import { soakDurable } from "./durable.ts"
import { type Color, colors, makeColor } from "./events.ts"
import { Laws } from "./laws.ts"
import { Random } from "./random.ts"
import { arrive, LawBroken, type Subscriber, ways } from "./subscribers.ts"

const usage = `Usage: npm run soak -- [options]
       npm run soak -- durable [--kills NUMBER] [--events NUMBER] [--seed NUMBER]

Publishers, takers, handlers, comers and goers and stuck subscribers share a bus. All along: the counters add up, nobody
waits for what is there, everybody gets events in order, and nothing but buffers holds any. At the end: the heap is flat.

  --duration TIME  how long, as "90 seconds" or "2 hours"; default "1 minute"
  --seed NUMBER    chooses what happens; the one of a failure is printed
  --help

With "durable": three processes that handle durable events are killed at random, on SQLite and PostgreSQL, and ten writers
publish while some roll back. Nothing is lost, out of order, or written twice in a transaction.

  --kills NUMBER   how often processes are killed, for each database; default 200
  --events NUMBER  how many events the writers publish, a multiple of 10; default 100000`

const refuse = (message: string): never => {
  console.error(`${message}\n\n${usage}`)
  process.exit(2)
}

const parse = () => {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        kills: { type: "string", default: "200" },
        events: { type: "string", default: "100000" },
        duration: { type: "string", default: "1 minute" },
        seed: { type: "string", default: String(Date.now() % 1_000_000) },
        help: { type: "boolean", default: false }
      }
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

const { positionals, values } = parse()
if (values.help) {
  console.log(usage)
  process.exit(0)
}
const duration = Option.getOrElse(
  Duration.fromInput(values.duration as Duration.Input),
  () => refuse(`--duration: "${values.duration}" is no time, as "90 seconds" or "2 hours" is`)
)
const seed = /^\d+$/.test(values.seed)
  ? Number(values.seed)
  : refuse(`--seed: "${values.seed}" is no whole number from 0 up`)
const [what, ...rest] = positionals
if (what === "durable" && rest.length === 0) {
  const kills = Number(values.kills)
  const events = Number(values.events)
  if (!Number.isInteger(kills) || kills < 1) refuse(`--kills: "${values.kills}" is no whole number from 1 up`)
  if (!Number.isInteger(events / 10) || events < 10) refuse(`--events: "${values.events}" is no multiple of 10`)
  process.exit(await soakDurable({ kills, events, seed: values.seed }))
}
if (what !== undefined) refuse(`"${positionals.join(" ")}" is nothing that is soaked; "durable" is`)
const random = new Random(seed)
const replay = 8

let broken: unknown
const onBroken = (cause: unknown): void => {
  broken ??= cause
}

/** Two turns of the scheduler: wake-ups are scheduled for the first, and have run by the end of the second. */
const turns = Effect.promise(async () => {
  for (let turn = 0; turn < 2; turn++) await setImmediate()
})

/** The most events that are published at once. */
const burst = 300

interface Soaked {
  readonly bus: EventBus.EventBus<Color>
  readonly laws: Laws
  readonly subscribers: Set<Subscriber>
  /** Those who never leave. */
  readonly permanent: ReadonlySet<Subscriber>
}

let arrivals = 0
const come = ({ bus, subscribers }: Soaked, way: (typeof ways)[number]): Effect.Effect<void> =>
  Effect.map(arrive(bus, { name: `${++arrivals} (${way})`, way, random, onBroken }), (subscriber) => {
    subscribers.add(subscriber)
  })

const go = ({ laws, subscribers }: Soaked, subscriber: Subscriber): Effect.Effect<void> => {
  subscribers.delete(subscriber)
  return Effect.andThen(subscriber.leave, laws.left(subscriber))
}

/** Those who may leave. */
const passing = ({ permanent, subscribers }: Soaked): ReadonlyArray<Subscriber> =>
  Array.from(subscribers).filter((subscriber) => !permanent.has(subscriber))

const publishSome = ({ bus, laws }: Soaked): Effect.Effect<void> =>
  Effect.suspend(() => {
    // A single event has a single chance to wake somebody.
    const count = random.oneOf([0, 1, 2, 20, burst])
    const events = Array.from({ length: count }, () => makeColor(random.oneOf(colors), ++laws.published))
    const one = Effect.forEach(events, bus.publish, { discard: true })
    return random.oneOf([
      one,
      Effect.withSpan(one, "publishing"),
      bus.publishAll(events),
      Effect.sync(() => events.forEach(bus.publishUnsafe))
    ])
  })

const check = ({ laws, subscribers }: Soaked): Effect.Effect<void> =>
  Effect.andThen(
    laws.check(subscribers),
    Effect.sync(() => {
      if (broken !== undefined) throw broken
    })
  )

const round = (soaked: Soaked): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { subscribers } = soaked
    for (let changes = random.below(4); changes > 0; changes--) {
      // As many come as go.
      if (subscribers.size < 25 + random.below(50)) yield* come(soaked, random.oneOf(ways))
      else yield* go(soaked, random.oneOf(passing(soaked)))
    }
    yield* publishSome(soaked)
    yield* turns
    yield* check(soaked)
  })

const make: Effect.Effect<Soaked, never, Scope.Scope> = Effect.map(
  EventBus.make({ name: "soak", events: colors, replay }),
  (bus) => ({ bus, laws: new Laws(bus), subscribers: new Set(), permanent: new Set() })
)

/** A bus that is shut down while all kinds of subscribers wait on it: those who take get what is left, and end. */
const shortLife: Effect.Effect<void> = Effect.scoped(Effect.gen(function*() {
  const soaked = yield* make
  for (const way of ways) if (way !== "stuck" && way !== "slow" && way !== "on, slow") yield* come(soaked, way)
  yield* publishSome(soaked)
  yield* soaked.bus.shutdown
  // Two takers of one subscription take turns, so that each event may take one.
  let left = yield* soaked.bus.subscriptions
  for (let i = 0; i < 1000 && left.length > 0; i++) {
    yield* turns
    left = yield* soaked.bus.subscriptions
  }
  yield* check(soaked)
  if (left.length > 0) {
    throw new LawBroken(`the bus was shut down, but not all was taken: ${JSON.stringify(left)}`)
  }
}))

/** Whoever looks at a subscription settles it: here nobody looks. */
const unobserved = (soaked: Soaked): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: 300 }),
    () => Effect.andThen(publishSome(soaked), turns),
    { discard: true }
  )

/** Goes on for `millis`, then has all leave who may, and answers with the heap that is left. */
const spell = (soaked: Soaked, millis: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    for (const end = performance.now() + millis; performance.now() < end;) yield* round(soaked)
    for (const subscriber of passing(soaked)) yield* go(soaked, subscriber)
    yield* unobserved(soaked)
    // The last ones published may still be in the hands of the publisher.
    yield* soaked.laws.checkHeld(replay * colors.length + burst)
    yield* shortLife
    return yield* Effect.promise(heapUsed)
  })

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const spells = 12

const soak = Effect.scoped(Effect.gen(function*() {
  const made = yield* make
  for (let i = 0; i < 4; i++) yield* come(made, "stuck")
  const soaked: Soaked = { ...made, permanent: new Set(made.subscribers) }
  const { bus, laws } = soaked
  const heaps: Array<number> = []
  for (let i = 0; i < spells; i++) heaps.push(yield* spell(soaked, Duration.toMillis(duration) / spells))

  // While code is compiled, the heap grows; from then on, what stays of a spell is nothing.
  const [middle, last] = [heaps.slice(spells / 3, 2 * spells / 3), heaps.slice(2 * spells / 3)].map(mean)
  const growth = last! / middle!
  if (growth > 1.02) {
    throw new LawBroken(`the heap grows: ${heaps.map((heap) => `${(heap / 1e6).toFixed(1)} MB`).join(", ")}`)
  }
  const { deliveredCount, droppedCount } = yield* bus.metrics
  console.log(
    `${arrivals} subscriptions, ${laws.published} events published, ${deliveredCount} delivered, ` +
      `${droppedCount} dropped; the heap ended at ${(last! / 1e6).toFixed(1)} MB, ${growth.toFixed(3)}x of before`
  )
}))

console.log(`Soaking for ${Duration.format(duration)} with seed ${seed}`)
const exit = await Effect.runPromiseExit(Effect.provide(soak, Logger.layer([])))
if (Exit.isFailure(exit)) {
  const defect = Cause.squash(exit.cause)
  console.error(`Failed with seed ${seed}: ${defect instanceof LawBroken ? defect.message : Cause.pretty(exit.cause)}`)
}
process.exit(Exit.isSuccess(exit) ? 0 : 1)
