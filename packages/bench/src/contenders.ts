/**
 * The ways of getting one event to many subscribers that are measured beside each other, behind one face.
 */
import { EventBus, type Overflow } from "@openwatch/event-bus"
import { Effect, Exit, Logger, PubSub, Scheduler, Scope, Stream } from "effect"
import Emittery from "emittery"
import { EventEmitter as EventEmitter3 } from "eventemitter3"
import mitt from "mitt"
import { EventEmitter } from "node:events"
import { setImmediate } from "node:timers/promises"
import { Subject } from "rxjs"
import { Ping, ping } from "./events.ts"

/** Subscribers that were opened, and the way to reach them. */
export interface Fanout {
  readonly publish: (event: Ping) => unknown
  /** Completes when every subscriber that keeps up has had all that was published; something must have been. */
  readonly settle: () => void | Promise<void>
  readonly close: () => Promise<void>
}

export interface Contender {
  readonly name: string
  /** It only calls what listens, and has no buffer, no isolation and no back-pressure: the floor, not the price of the same. */
  readonly isFloor: boolean
  /** Deliveries that one burst of events may cause, for it to end in good time. */
  readonly mostDeliveries: number
  readonly open: (subscribers: Subscribers) => Promise<Fanout>
}

export interface Subscribers {
  readonly keepingUp: number
  /** These never take anything, and their buffers are full. */
  readonly stuck?: number
  /** Runs whenever a handler starts; contenders without handlers ignore it. */
  readonly onHandled?: () => void
}

/** The buffer of every subscription and of every `PubSub`. */
export const bufferSize = 1024

/** Events to publish between two looks at whether everybody had them. They fit in every buffer. */
export const burstOf = (contender: Contender, subscribers: number): number =>
  Math.max(1, Math.min(1000, Math.floor(contender.mostDeliveries / subscribers)))

export const publishing = (fanout: Fanout, count: number) => (): void => {
  for (let i = 0; i < count; i++) fanout.publish(ping)
}

type Opened = Omit<Fanout, "close"> & {
  /** Deliveries so far, over all subscribers. */
  readonly received: () => number
}
type Opening = Effect.Effect<Opened, never, Scope.Scope>

const contender = (
  name: string,
  { isFloor = false, mostDeliveries }: { readonly isFloor?: boolean; readonly mostDeliveries: number },
  opening: (subscribers: Subscribers) => Opening
): Contender => ({
  name,
  isFloor,
  mostDeliveries,
  open: async (subscribers) => {
    const scope = Scope.makeUnsafe()
    // The warnings of full buffers are meant here, and would run through the tables.
    const { publish, received, settle } = await Effect.runPromise(
      Effect.provide(Scope.provide(opening(subscribers), scope), Logger.layer([]))
    )
    // Streams subscribe when their fibers have started.
    for (let turn = 0; turn < 3; turn++) await setImmediate()
    publish(ping)
    await settle()
    if (received() !== subscribers.keepingUp) {
      throw new Error(`${name}: 1 event reached ${received()} of ${subscribers.keepingUp} subscribers`)
    }
    if (subscribers.stuck !== undefined) {
      for (let i = 0; i < bufferSize; i++) publish(ping)
      await settle()
    }
    return { publish, settle, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }
})

type Take = Effect.Effect<ReadonlyArray<Ping>, unknown>

/** `settle` takes all that each subscription holds, in one fiber. */
const taking = (publish: (event: Ping) => unknown, takes: () => ReadonlyArray<Take>): Opened => {
  let received = 0
  // Made when it is needed: who measures an idle subscription does not mean the effects made of it.
  let takeAll: Effect.Effect<void, unknown> | undefined
  return {
    publish,
    settle: () => {
      takeAll ??= Effect.forEach(takes(), (take) =>
        Effect.map(take, (events) => {
          received += events.length
        }), { discard: true })
      Effect.runSync(takeAll as Effect.Effect<void>)
    },
    received: () => received
  }
}

/** `settle` waits until the handlers had everything. */
class Handlers {
  private received = 0
  private expected = 0
  private onSettled: (() => void) | undefined = undefined
  private readonly subscribers: Subscribers

  constructor(subscribers: Subscribers) {
    this.subscribers = subscribers
  }

  readonly listener = (): void => {
    this.received++
    this.subscribers.onHandled?.()
    if (this.received === this.expected) this.onSettled?.()
  }

  readonly handler = (_: Ping): Effect.Effect<void> => Effect.sync(this.listener)

  opened(publish: (event: Ping) => unknown): Opened {
    return {
      publish: (event) => {
        this.expected += this.subscribers.keepingUp
        return publish(event)
      },
      settle: () => {
        if (this.received === this.expected) return undefined
        return new Promise((resolve) => {
          this.onSettled = () => {
            this.onSettled = undefined
            resolve()
          }
        })
      },
      received: () => this.received
    }
  }
}

const times = <A>(count: number, make: () => A): Array<A> => Array.from({ length: count }, make)

/** The stuck ones are spread evenly among the others. */
const withoutStuck = <A>(subscribers: ReadonlyArray<A>, stuck: number): ReadonlyArray<A> =>
  subscribers.filter((_, i) => stuck === 0 || i % (subscribers.length / stuck) !== 0)

const pings = EventBus.make({ events: [Ping] })

const busTaking = (overflow: Overflow) => ({ keepingUp, stuck = 0 }: Subscribers): Opening =>
  Effect.gen(function*() {
    const bus = yield* pings
    const subscribe = bus.subscribe({ kinds: ["Ping"], bufferSize, overflow })
    const subscriptions = yield* Effect.all(times(keepingUp + stuck, () => subscribe))
    return taking(bus.publishUnsafe, () => withoutStuck(subscriptions, stuck).map((it) => it.takeAll))
  })

const busOn = (subscribers: Subscribers): Opening =>
  Effect.gen(function*() {
    const bus = yield* pings
    const handlers = new Handlers(subscribers)
    yield* Effect.all(times(subscribers.keepingUp, () => bus.on("Ping", handlers.handler, { bufferSize })))
    return handlers.opened(bus.publishUnsafe)
  })

const busConsume = (subscribers: Subscribers): Opening =>
  Effect.gen(function*() {
    const bus = yield* pings
    const handlers = new Handlers(subscribers)
    const consume = bus.consume("Ping", (events) => Stream.runForEach(events, handlers.handler), { bufferSize })
    yield* Effect.all(times(subscribers.keepingUp, () => consume))
    return handlers.opened(bus.publishUnsafe)
  })

const busStream = (subscribers: Subscribers): Opening =>
  Effect.gen(function*() {
    const bus = yield* pings
    const handlers = new Handlers(subscribers)
    for (let i = 0; i < subscribers.keepingUp; i++) {
      const subscription = yield* bus.subscribe({ kinds: ["Ping"], bufferSize })
      yield* Effect.forkScoped(Stream.runForEach(subscription.stream, handlers.handler))
    }
    return handlers.opened(bus.publishUnsafe)
  })

/** One `PubSub` for all subscribers, or one for each. */
const pubSubs = (isShared: boolean, count: number) =>
  Effect.map(Effect.all(times(isShared ? 1 : count, () => PubSub.dropping<Ping>(bufferSize))), (pubSubs) => ({
    publish: isShared
      ? (event: Ping) => PubSub.publishUnsafe(pubSubs[0]!, event)
      : (event: Ping) => {
        for (let i = 0; i < pubSubs.length; i++) PubSub.publishUnsafe(pubSubs[i]!, event)
      },
    of: (subscriber: number) => pubSubs[isShared ? 0 : subscriber]!
  }))

const pubSubTaking = (isShared: boolean) => ({ keepingUp, stuck = 0 }: Subscribers): Opening =>
  Effect.gen(function*() {
    const stock = yield* pubSubs(isShared, keepingUp + stuck)
    const subscriptions: Array<PubSub.Subscription<Ping>> = []
    for (let i = 0; i < keepingUp + stuck; i++) subscriptions.push(yield* PubSub.subscribe(stock.of(i)))
    return taking(stock.publish, () => withoutStuck(subscriptions, stuck).map(PubSub.takeAll))
  })

/** The least that one can write by hand. */
const pubSubHandling = (subscribers: Subscribers): Opening =>
  Effect.gen(function*() {
    const stock = yield* pubSubs(false, subscribers.keepingUp)
    const handlers = new Handlers(subscribers)
    for (let i = 0; i < subscribers.keepingUp; i++) {
      const subscription = yield* PubSub.subscribe(stock.of(i))
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(PubSub.take(subscription), handlers.handler)))
    }
    return handlers.opened(stock.publish)
  })

const pubSubStream = (isShared: boolean) => (subscribers: Subscribers): Opening =>
  Effect.gen(function*() {
    const stock = yield* pubSubs(isShared, subscribers.keepingUp)
    const handlers = new Handlers(subscribers)
    for (let i = 0; i < subscribers.keepingUp; i++) {
      yield* Effect.forkScoped(Stream.runForEach(Stream.fromPubSub(stock.of(i)), handlers.handler))
    }
    return handlers.opened(stock.publish)
  })

/** No bus at all: each subscriber's handler is run for every event, in a loop of effects. */
const whileLooping = (subscribers: Subscribers): Opening =>
  Effect.sync(() => {
    const handlers = new Handlers(subscribers)
    const all = times(subscribers.keepingUp, () => handlers.handler)
    let published: Array<Ping> = []
    const opened = handlers.opened((event) => published.push(event))
    return {
      ...opened,
      settle: () => {
        const events = published
        published = []
        for (const handler of all) {
          let next = 0
          Effect.runSync(Effect.whileLoop({
            while: () => next < events.length,
            body: () => handler(events[next]!),
            step: () => {
              next++
            }
          }))
        }
      }
    }
  })

/** No bus at all: the turn of the scheduler that keeps subscribers out of `publish`, and their handlers in it. */
const oneTurn = (subscribers: Subscribers): Opening =>
  Effect.sync(() => {
    const handlers = new Handlers(subscribers)
    const dispatcher = new Scheduler.MixedScheduler().makeDispatcher()
    const deliver = () => {
      for (let i = 0; i < subscribers.keepingUp; i++) handlers.listener()
    }
    return handlers.opened(() => dispatcher.scheduleTask(deliver, 0))
  })

/** The same turn, in which each handler runs in a waiting fiber of its own. An event that finds none waiting is lost. */
const fibersInOneTurn = (subscribers: Subscribers): Opening =>
  Effect.gen(function*() {
    const handlers = new Handlers(subscribers)
    const dispatcher = new Scheduler.MixedScheduler().makeDispatcher()
    let waiting: Array<(handling: Effect.Effect<void>) => void> = []
    const wait = Effect.callback<void>((resume) => {
      waiting.push(resume)
    })
    yield* Effect.all(times(subscribers.keepingUp, () => Effect.forkScoped(Effect.forever(wait))))
    return handlers.opened((event) =>
      dispatcher.scheduleTask(() => {
        const woken = waiting
        waiting = []
        for (const resume of woken) resume(handlers.handler(event))
      }, 0)
    )
  })

/** Something that calls its listeners. */
const emitter = (
  name: string,
  make: () => { readonly listen: (listener: () => void) => unknown; readonly emit: (event: Ping) => unknown }
): Contender =>
  contender(name, { isFloor: true, mostDeliveries: 20_000 }, (subscribers) =>
    Effect.sync(() => {
      const handlers = new Handlers(subscribers)
      const { emit, listen } = make()
      // A listener of its own for each subscriber: some emitters keep a set of them.
      for (let i = 0; i < subscribers.keepingUp; i++) listen(() => handlers.listener())
      return handlers.opened(emit)
    }))

const unlimited = { mostDeliveries: Number.POSITIVE_INFINITY }
const inHandlers = { mostDeliveries: 1_000_000 }
/** What visits every subscriber in each publish. */
const inPublish = { mostDeliveries: 10_000 }

export const bus = contender("event bus", unlimited, busTaking("dropping"))
export const busSliding = contender("event bus, sliding", unlimited, busTaking("sliding"))
export const busHandlers = contender("event bus, on", inHandlers, busOn)
export const busConsumers = contender("event bus, consume", inHandlers, busConsume)
export const busStreams = contender("event bus, stream + runForEach", inHandlers, busStream)

export const sharedPubSub = contender("PubSub.dropping, shared", unlimited, pubSubTaking(true))
export const eachPubSub = contender("PubSub.dropping, each", inPublish, pubSubTaking(false))
export const eachPubSubHandlers = contender("PubSub.dropping, each, take loop", inPublish, pubSubHandling)
export const sharedPubSubStreams = contender("Stream.fromPubSub + runForEach, shared", inPublish, pubSubStream(true))
export const eachPubSubStreams = contender("Stream.fromPubSub + runForEach, each", inPublish, pubSubStream(false))

export const whileLoops = contender("Effect.whileLoop", { isFloor: true, mostDeliveries: 1_000_000 }, whileLooping)

/** The least that keeps subscribers out of `publish`. */
export const turns = [
  contender("one turn of the scheduler", { isFloor: true, ...inHandlers }, oneTurn),
  contender("fibers that wake in one turn", { isFloor: true, ...inHandlers }, fibersInOneTurn)
]

/** Its types describe a CommonJS module; what Node imports is an ES module. */
const makeMitt = mitt as unknown as typeof mitt.default

export const emitters: ReadonlyArray<Contender> = [
  emitter("EventEmitter", () => {
    const emitter = new EventEmitter().setMaxListeners(0)
    return { listen: (listener) => emitter.on("Ping", listener), emit: (event) => emitter.emit("Ping", event) }
  }),
  emitter("RxJS Subject", () => {
    const subject = new Subject<Ping>()
    return { listen: (listener) => subject.subscribe(listener), emit: (event) => subject.next(event) }
  }),
  emitter("mitt", () => {
    const emitter = makeMitt<{ Ping: Ping }>()
    return { listen: (listener) => emitter.on("Ping", listener), emit: (event) => emitter.emit("Ping", event) }
  }),
  emitter("eventemitter3", () => {
    const emitter = new EventEmitter3<{ Ping: [Ping] }>()
    return { listen: (listener) => emitter.on("Ping", listener), emit: (event) => emitter.emit("Ping", event) }
  }),
  emitter("emittery", () => {
    const emitter = new Emittery<{ Ping: Ping }>()
    return { listen: (listener) => emitter.on("Ping", listener), emit: (event) => emitter.emit("Ping", event) }
  })
]
