/**
 * (g) 50 kinds, 1,000 subscriptions to 1 to 5 of them: few distinct sets of kinds, then a set of its own for each.
 */
import { EventBus } from "@openwatch/event-bus"
import { DateTime, Effect, Exit, PubSub, Schema, Scope } from "effect"
import { EventEmitter } from "node:events"
import { bufferSize } from "../contenders.ts"
import { formatCount, type Row, type Workload } from "../measurements.ts"
import { measure, type Task } from "../rounds.ts"

const subscriptions = 1000

const schemas = Array.from(
  { length: 50 },
  (_, i) => Schema.TaggedStruct(`Kind${i}`, { occurredAt: Schema.DateTimeUtc })
)
type Event = (typeof schemas)[number]["Type"]
type Kind = Event["_tag"]
const events: ReadonlyArray<Event> = schemas.map((schema) => schema.make({ occurredAt: DateTime.makeUnsafe(0) }))
const kinds = events.map((event) => event._tag)

/** Each kind as often as every other. */
const batch = Array.from({ length: 1000 }, (_, i) => events[i % events.length]!)

/** The same numbers in every run: a linear congruential generator (Numerical Recipes, 7.1). */
const randomly = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor(seed / 2 ** 32 * below)
}

/** The kinds of each subscription: `count` distinct sets of 1 to 5 kinds. */
const kindSets = (count: number): ReadonlyArray<ReadonlyArray<Kind>> => {
  const random = randomly(1)
  const sets = new Map<string, ReadonlyArray<Kind>>()
  while (sets.size < count) {
    const set = new Set<Kind>()
    for (const length = 1 + random(5); set.size < length;) set.add(kinds[random(kinds.length)]!)
    const sorted = [...set].toSorted()
    sets.set(sorted.join(), sorted)
  }
  const distinct = [...sets.values()]
  return Array.from({ length: subscriptions }, (_, i) => distinct[i % distinct.length]!)
}

interface Router {
  readonly publish: (event: Event) => unknown
  /** Takes everything. */
  readonly takeAll: () => void
}

type Opening = (sets: ReadonlyArray<ReadonlyArray<Kind>>) => Effect.Effect<Router, never, Scope.Scope>

const taking = (takes: ReadonlyArray<Effect.Effect<unknown, unknown>>): () => void => {
  const takeAll = Effect.all(takes, { discard: true }) as Effect.Effect<void>
  return () => Effect.runSync(takeAll)
}

const bus: Opening = (sets) =>
  Effect.gen(function*() {
    const bus = yield* EventBus.make({ events: schemas })
    const takes = yield* Effect.forEach(sets, (kinds) =>
      Effect.map(bus.subscribe({ kinds, bufferSize }), (subscription) => subscription.takeAll))
    return { publish: bus.publishUnsafe, takeAll: taking(takes) }
  })

/** A PubSub for each subscription, and a table of those that want a kind: publishing visits no other. */
const eachPubSub: Opening = (sets) =>
  Effect.gen(function*() {
    const routes = new Map<Kind, Array<PubSub.PubSub<Event>>>(kinds.map((kind) => [kind, []]))
    const takes: Array<Effect.Effect<unknown>> = []
    for (const set of sets) {
      const pubSub = yield* PubSub.dropping<Event>(bufferSize)
      takes.push(PubSub.takeAll(yield* PubSub.subscribe(pubSub)))
      for (const kind of set) routes.get(kind)!.push(pubSub)
    }
    const publish = (event: Event) => {
      const route = routes.get(event._tag)!
      for (let i = 0; i < route.length; i++) PubSub.publishUnsafe(route[i]!, event)
    }
    return { publish, takeAll: taking(takes) }
  })

/** One PubSub; each subscription filters what it takes. */
const sharedPubSub: Opening = (sets) =>
  Effect.gen(function*() {
    const pubSub = yield* PubSub.dropping<Event>(bufferSize)
    const takes = yield* Effect.forEach(sets, (kinds) =>
      Effect.map(PubSub.subscribe(pubSub), (subscription) => {
        const wanted = new Set(kinds)
        return Effect.map(PubSub.takeAll(subscription), (events) => events.filter((event) => wanted.has(event._tag)))
      }))
    return { publish: (event) => PubSub.publishUnsafe(pubSub, event), takeAll: taking(takes) }
  })

const emitter: Opening = (sets) =>
  Effect.sync(() => {
    const emitter = new EventEmitter().setMaxListeners(0)
    const buffers: Array<Array<Event>> = []
    for (const kinds of sets) {
      const events: Array<Event> = []
      buffers.push(events)
      for (const kind of kinds) emitter.on(kind, (event: Event) => events.push(event))
    }
    return {
      publish: (event) => emitter.emit(event._tag, event),
      takeAll: () => buffers.forEach((events) => events.length = 0)
    }
  })

const contenders: ReadonlyArray<Omit<Row, "values"> & { readonly open: Opening }> = [
  { name: "event bus", isFloor: false, open: bus },
  { name: "PubSub.dropping, each", isFloor: false, open: eachPubSub },
  { name: "PubSub.dropping, shared, filtered", isFloor: false, open: sharedPubSub },
  { name: "EventEmitter", isFloor: true, open: emitter }
]

const distinctSets = [20, 1000]

export const manyKinds: Workload = {
  name: "many-kinds",
  run: async (effort) => {
    const scope = Scope.makeUnsafe()
    const publishing: Array<Task> = []
    const whole: Array<Task> = []
    for (const { name, open } of contenders) {
      for (const count of distinctSets) {
        const { publish, takeAll } = await Effect.runPromise(Scope.provide(open(kindSets(count)), scope))
        const publishBatch = () => {
          for (let i = 0; i < batch.length; i++) publish(batch[i]!)
        }
        const run = () => {
          publishBatch()
          takeAll()
        }
        publishing.push({ name, operations: batch.length, run: publishBatch, settle: takeAll })
        whole.push({ name, operations: batch.length, run })
      }
    }
    const means = await measure([...publishing, ...whole], effort)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    const rows = (values: ReadonlyArray<number>): ReadonlyArray<Row> =>
      contenders.map(({ isFloor, name }, i) => ({
        name,
        isFloor,
        values: values.slice(i * distinctSets.length, (i + 1) * distinctSets.length)
      }))
    const columns = distinctSets.map((count) => `${formatCount(count)} distinct sets`)
    return [
      {
        id: "many-kinds/publish",
        title: "(g) One call of publish, 50 kinds, 1,000 subscriptions to 1 to 5 of them: mean",
        unit: "nanoseconds",
        columns,
        rows: rows(means.slice(0, publishing.length))
      },
      {
        id: "many-kinds/whole",
        title: "(g) The same, and taking it: whole cost of one event",
        unit: "nanoseconds",
        columns,
        rows: rows(means.slice(publishing.length))
      }
    ]
  }
}
