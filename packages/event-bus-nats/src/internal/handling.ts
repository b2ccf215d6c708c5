/**
 * The way in for `handledBy`: an event is acknowledged once the handler of one subscription has finished with it.
 *
 * The bus does not say when an event is handled, but a subscription's snapshot does. The place of an event among those that
 * were delivered is known when it is published, and `settled` says how many of the first have ended. So events go to the bus
 * in batches that fit the subscription's buffer, and each is acknowledged when the subscription is seen to have settled it.
 * The snapshot must be of the same, open subscription: one that closes interrupts its handler, and that ends the event, too.
 */
import type { Consumer, ConsumerMessages, JsMsg } from "@nats-io/jetstream"
import type { EventBus, SubscriptionSnapshot } from "@openwatch/event-bus"
import { Effect, Latch, Schedule, type Scope } from "effect"
import { NatsBridgeError } from "../NatsBridgeError.ts"
import type { Connection, Session } from "./connection.ts"
import type { Intake } from "./intake.ts"
import type { Settings } from "./settings.ts"
import type { Tally } from "./tally.ts"

/** Messages held here at most. */
const fetchSize = 256

/** How long the server holds a request for messages open. */
const expiresMillis = 30_000

/** How often the subscription is looked at: soon after a batch, then less and less. */
const looking = Schedule.min([Schedule.exponential("1 millis", 1.5), Schedule.spaced("50 millis")])

const returnDelayMillis = 1_000

const acknowledged = "+ACK"
const inProgress = "+WPI"
const terminated = "+TERM"
const returned = `-NAK {"delay":${returnDelayMillis * 1_000_000}}`

/** An event that was received and not acknowledged yet. */
interface Held {
  readonly event: EventBus.AnyEvent
  /** The subject on which the server waits for the acknowledgement, on whatever connection. */
  readonly reply: string
}

/** An event that was published. */
interface Published extends Held {
  /** How many had been delivered to the subscription with it. */
  readonly place: number
}

export class Handling {
  private readonly settings: Settings
  private readonly name: string
  private readonly connection: Connection
  private readonly intake: Intake
  private readonly tally: Tally
  private readonly bus: EventBus.EventBus<EventBus.AnyEvent>
  /** Not on the bus yet. */
  private inbox: Array<Held> = []
  /** On the bus, not handled yet. */
  private batch: ReadonlyArray<Published> = []
  private readonly arrived = Latch.makeUnsafe()
  private readonly ended = Latch.makeUnsafe()
  private messages: ConsumerMessages | undefined = undefined
  private isClosed = false
  private isPaused = false
  private consumer: { readonly session: Session; readonly consumer: Consumer } | undefined = undefined

  constructor(
    settings: Settings,
    name: string,
    connection: Connection,
    intake: Intake,
    tally: Tally,
    bus: EventBus.EventBus<EventBus.AnyEvent>
  ) {
    this.settings = settings
    this.name = name
    this.connection = connection
    this.intake = intake
    this.tally = tally
    this.bus = bus
  }

  get waiting(): number {
    return this.inbox.length
  }

  /** Fails when there is no subscription that could handle what is imported. */
  readonly check: Effect.Effect<void, NatsBridgeError> = Effect.gen({ self: this }, function*() {
    const subscriptions = yield* this.subscriptions
    const refuse = (what: string) =>
      Effect.fail(new NatsBridgeError({ reason: "handledBy", message: `handledBy: "${this.name}": ${what}` }))
    const named = subscriptions.filter(({ name }) => name === this.name)
    const subscription = named[0]
    if (subscription === undefined) {
      const others = subscriptions.map(({ name }) => JSON.stringify(name)).join(", ")
      return yield* refuse(
        `the bus has no such subscription${others === "" ? "" : `, only ${others}`}. It must be there before the bridge`
      )
    }
    if (named.length > 1) {
      return yield* refuse(`the bus has ${named.length} subscriptions of that name; give each its own`)
    }
    if (subscription.overflow !== "dropping") {
      return yield* refuse(
        `its overflow is "${subscription.overflow}", which may evict what was imported; it must be "dropping"`
      )
    }
    if (subscription.settled === undefined) {
      return yield* refuse("it has no handler whose end could be seen; it must be one of `on` or `consume`")
    }
    if (!this.settings.import.some((kind) => subscription.kinds.includes(kind))) {
      return yield* refuse(
        `it subscribes to ${subscription.kinds.join(", ")}, to none of the imported ${this.settings.import.join(", ")}`
      )
    }
    return yield* Effect.void
  })

  /** Takes in until it is closed, or the scope closes. */
  readonly start: Effect.Effect<void, never, Scope.Scope> = Effect.gen({ self: this }, function*() {
    yield* Effect.forkScoped(this.stayInProgress)
    const fiber = yield* Effect.forkScoped(this.takeIn)
    fiber.addObserver(() => this.ended.openUnsafe())
  })

  /** Takes nothing in any more, gives back what is not on the bus, and waits for what is being handled. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.isClosed = true
    this.messages?.stop()
    this.arrived.openUnsafe()
    this.giveBackInbox()
    return this.batch.length === 0
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(this.ended.await, this.settings.drain))
  })

  private readonly takeIn: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (!this.isClosed) {
      const session = yield* this.connection.await
      const room = (yield* this.ready).room
      if (this.isClosed) return
      const isFetching = { current: true }
      const fetching = this.fetch(session, Math.min(room, fetchSize)).catch((error) =>
        this.connection.restart(session, error)
      ).finally(() => {
        isFetching.current = false
        this.arrived.openUnsafe()
      })
      while (!this.isClosed && (isFetching.current || this.inbox.length > 0)) {
        yield* this.arrived.await
        if (isFetching.current) this.arrived.closeUnsafe()
        while (this.inbox.length > 0) yield* this.handSome
      }
      yield* Effect.promise(() => fetching)
    }
  })

  private async fetch(session: Session, n: number): Promise<void> {
    const { durable, streamName } = this.settings
    if (this.consumer?.session !== session) {
      this.consumer = { session, consumer: await session.jetStream.consumers.get(streamName, durable) }
    }
    const { consumer } = this.consumer
    if (this.isClosed || this.connection.session !== session) return
    const messages = this.messages = await consumer.fetch({ max_messages: n, expires: expiresMillis })
    for await (const message of messages) {
      const reply = replyOf(message)
      const incoming = this.intake.receiveStored(message)
      if (incoming._tag !== "Event") {
        this.respond(reply, incoming._tag === "Rejected" ? terminated : acknowledged)
      } else if (this.isClosed || this.isPaused) {
        this.giveBack(reply)
      } else {
        this.inbox.push({ event: incoming.event, reply })
        this.arrived.openUnsafe()
      }
    }
  }

  /** Publishes as much of the inbox as the subscription has room for, and acknowledges each event when it is handled. */
  private readonly handSome: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    yield* this.ready
    const subscription = this.publishSome()
    if (this.batch.length === 0) return
    // A handler that waits for nothing is done after one turn of the scheduler, long before a timer would look.
    yield* Effect.yieldNow
    yield* this.acknowledgeSettled(subscription!)
  })

  /** Publishes what the subscription has room for. Events that it does not receive need no room, and no handler. */
  private publishSome(): SubscriptionSnapshot | undefined {
    // In one go with the publishing: what others publish meanwhile would take the same places.
    const subscription = Effect.runSync(this.subscription)
    if (subscription === undefined) return undefined
    const room = subscription.bufferSize - subscription.pending
    const batch: Array<Published> = []
    let i = 0
    for (; i < this.inbox.length && batch.length < room; i++) {
      const held = this.inbox[i]!
      this.intake.publish(held.event)
      if (receives(subscription, held.event)) batch.push({ ...held, place: subscription.delivered + batch.length + 1 })
      else this.respond(held.reply, acknowledged)
    }
    this.inbox = this.inbox.slice(i)
    this.batch = batch
    this.tally.unhandled += batch.length
    return subscription
  }

  /** Waits until the subscription is open and its buffer is not full. */
  private readonly ready: Effect.Effect<{ readonly room: number }> = Effect
    .gen({ self: this }, function*() {
      const subscription = yield* this.subscription
      const room = subscription === undefined ? 0 : subscription.bufferSize - subscription.pending
      if (subscription === undefined && !this.isPaused) {
        this.isPaused = true
        // Another process of the queue may have a handler.
        this.messages?.stop()
        this.giveBackInbox()
        yield* Effect.annotateLogs(
          Effect.logWarning(`Nothing is taken in from NATS until there is a subscription "${this.name}" again`),
          { bus: this.settings.bus }
        )
      }
      if (subscription === undefined || room <= 0) return yield* Effect.fail("not ready" as const)
      this.isPaused = false
      return { room }
    }).pipe(Effect.retry(looking), Effect.orDie)

  /** Acknowledges each event when it has ended. What has not when the subscription closes is given back. */
  private acknowledgeSettled(published: SubscriptionSnapshot): Effect.Effect<void> {
    const respondAll = (events: ReadonlyArray<Published>, response: string): void => {
      this.tally.unhandled -= events.length
      for (const { reply } of events) this.respond(reply, response)
    }
    return Effect.flatMap(this.subscription, (now): Effect.Effect<void, "busy"> => {
      const { batch } = this
      if (now === undefined || !isSame(published, now)) {
        this.batch = []
        respondAll(batch, returned)
        return Effect.void
      }
      const settled = now.settled!
      this.batch = batch.filter(({ place }) => place > settled)
      respondAll(batch.filter(({ place }) => place <= settled), acknowledged)
      return this.batch.length === 0 ? Effect.void : Effect.fail("busy")
    }).pipe(Effect.retry(looking), Effect.orDie)
  }

  private get subscriptions(): Effect.Effect<ReadonlyArray<SubscriptionSnapshot>> {
    return Effect.map(this.bus.subscriptions, (all) => all.filter(({ state }) => state === "open"))
  }

  private get subscription(): Effect.Effect<SubscriptionSnapshot | undefined> {
    return Effect.map(this.subscriptions, (open) => open.find(({ name }) => name === this.name))
  }

  /** Tells the server that what is held here is neither lost nor done, for as long as a handler takes. */
  private get stayInProgress(): Effect.Effect<void> {
    return Effect.sync(() => {
      for (const { reply } of this.batch) this.respond(reply, inProgress)
      for (const { reply } of this.inbox) this.respond(reply, inProgress)
    }).pipe(Effect.repeat(Schedule.spaced(this.settings.ackWaitMillis / 3)), Effect.asVoid)
  }

  private giveBackInbox(): void {
    const inbox = this.inbox
    this.inbox = []
    for (const { reply } of inbox) this.giveBack(reply)
  }

  private giveBack(reply: string): void {
    this.tally.returned++
    this.respond(reply, returned)
  }

  /** Without a connection nothing is acknowledged, and the event is delivered again. */
  private respond(reply: string, response: string): void {
    const session = this.connection.session
    if (session === undefined || session.nats.isClosed()) return
    session.nats.publish(reply, response)
  }
}

/** By the array that only snapshots of one subscription share; a subscription that came after it may have all else alike. */
const isSame = (one: SubscriptionSnapshot, other: SubscriptionSnapshot): boolean => one.kinds === other.kinds

/** `where` compares as a `Map` does, and so does `includes`. */
const receives = ({ kinds, where }: SubscriptionSnapshot, event: EventBus.AnyEvent): boolean =>
  kinds.includes(event._tag) &&
  Object.entries(where ?? {}).every(([field, value]) =>
    [event[field as keyof EventBus.AnyEvent] as unknown].includes(value)
  )

/** It is not in the client's types: `message.ack` responds on the connection by which the message came. */
const replyOf = (message: JsMsg): string => (message as JsMsg & { readonly reply: string }).reply
