/**
 * The ways of getting events from one end to another over a NATS server that are measured beside each other, behind one
 * face. Both ends are in this process, each with a connection of its own; the server is a process of its own.
 */
import { jetstream, jetstreamManager, type JsMsg } from "@nats-io/jetstream"
import { connect, headers, type Msg, type MsgHdrs, nanos, type NatsConnection, nuid } from "@nats-io/transport-node"
import { EventBus } from "@openwatch/event-bus"
import { NatsBridge } from "@openwatch/event-bus-nats"
import { Context, DateTime, Effect, Layer, Logger, Schema, type Scope } from "effect"

/** An event as applications have them: some words, some numbers, a time. */
export class Pulse extends Schema.TaggedClass<Pulse>()("Pulse", {
  n: Schema.Number,
  host: Schema.String,
  status: Schema.Literals(["up", "down"]),
  latencyMillis: Schema.Number,
  occurredAt: Schema.DateTimeUtc
}) {}

const occurredAt = DateTime.makeUnsafe("2026-03-04T05:06:07.089Z")

export const pulse = (n: number): Pulse =>
  new Pulse({ n, host: `web-${n % 100}.example.org`, status: "up", latencyMillis: 12.5, occurredAt })

/** Two ends that are joined. */
export interface Link {
  /** The promise fails when the events cannot be sent, and says nothing of whether they arrived. */
  readonly send: (events: ReadonlyArray<Pulse>) => Promise<unknown>
}

export interface Contender {
  readonly name: string
  /** `onHandled` runs at the other end, for each event in the order of sending. `subject` is this link's alone. */
  readonly open: (
    mode: Mode,
    link: { readonly server: string; readonly subject: string; readonly onHandled: (n: number) => void }
  ) => Effect.Effect<Link, never, Scope.Scope>
}

export type Mode = "core" | "jetstream"

/** Events that are sent before the server's answer is awaited, and asked for ahead of need: the bridge's own numbers. */
const window = 512

/** Events that are sent at once at most, and so what every buffer holds. */
export const burst = 2048

/** On disk, and bounded, so that a long run does not fill it; far more than is ever on its way. */
const stream = { storage: "file", maxMessages: 100_000, duplicateWindow: 10_000 } as const

// -----------------------------------------------------------------------------
// The bare client
// -----------------------------------------------------------------------------

/** What a team writes once for its application. */
interface Codec {
  readonly encode: (event: Pulse) => string
  /** `undefined` for what is not for this receiver. */
  readonly decode: (message: Msg | JsMsg) => { readonly n: number } | undefined
}

const json = Schema.toCodecJson(Pulse)
const encode = Schema.encodeUnknownSync(json)
const decode = Schema.decodeUnknownSync(json)

/** As safe as the bridge: the attributes are looked at, the body is checked, and what comes out is the event again. */
const checked: Codec = {
  encode: (event) => JSON.stringify(encode(event)),
  decode: (message) => {
    const { headers: attributes } = message
    if (attributes === undefined || attributes.get("ce-specversion") !== "1.0") throw new Error("No CloudEvent")
    if (attributes.get("ce-id") === "" || attributes.get("ce-source") === "receiver") return undefined
    if (attributes.get("ce-type") !== "Pulse") return undefined
    return decode(message.json())
  }
}

/** The body is believed, and the attributes are not looked at. The time stays a string. */
const unchecked: Codec = { encode: JSON.stringify, decode: (message) => message.json() }

/** A CloudEvent in binary mode, as the bridge sends it. */
const attributesOf = (event: Pulse, id: string): MsgHdrs => {
  const attributes = headers()
  attributes.append("ce-specversion", "1.0")
  attributes.append("ce-id", id)
  attributes.append("ce-source", "sender")
  attributes.append("ce-type", event._tag)
  attributes.append("ce-time", DateTime.formatIso(event.occurredAt))
  attributes.append("ce-datacontenttype", "application/json")
  return attributes
}

const connection = (server: string): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: server, noAsyncTraces: true })),
    (nats) => Effect.promise(() => nats.close())
  )

/**
 * Sends events in windows, one after the other. `sendWindow` completes when the server has what it sent; without waiting for
 * that a server that is slower would fill this process's memory.
 */
const windowed = (
  sendWindow: (events: ReadonlyArray<Pulse>) => Promise<unknown>
): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.gen(function*() {
    let sent: Promise<unknown> = Promise.resolve()
    // The connection is closed when nothing is on its way.
    yield* Effect.addFinalizer(() => Effect.ignore(Effect.tryPromise(() => sent)))
    return {
      send: (events) => {
        for (let from = 0; from < events.length; from += window) {
          sent = sent.then(() => sendWindow(events.slice(from, from + window)))
        }
        return sent
      }
    }
  })

const bare = (name: string, { decode, encode }: Codec): Contender => ({
  name,
  open: (mode, { onHandled, server, subject }) =>
    Effect.gen(function*() {
      const sender = yield* connection(server)
      const receiver = yield* connection(server)
      const handle = (message: Msg | JsMsg) => {
        const event = decode(message)
        if (event !== undefined) onHandled(event.n)
      }
      if (mode === "core") {
        receiver.subscribe(`${subject}.*`, { callback: (_, message) => handle(message) })
        yield* Effect.promise(() => receiver.flush())
        return yield* windowed((events) => {
          for (const event of events) {
            sender.publish(`${subject}.${event._tag}`, encode(event), { headers: attributesOf(event, nuid.next()) })
          }
          return sender.flush()
        })
      }
      yield* Effect.promise(async () => {
        const manager = await jetstreamManager(receiver)
        await manager.streams.add({
          name: subject,
          subjects: [`${subject}.*`],
          storage: stream.storage,
          max_msgs: stream.maxMessages,
          duplicate_window: nanos(stream.duplicateWindow)
        })
        await manager.consumers.add(subject, { durable_name: "receiver", ack_policy: "explicit", max_ack_pending: -1 })
        const consumer = await manager.jetstream().consumers.get(subject, "receiver")
        await consumer.consume({
          max_messages: window,
          callback: (message) => {
            handle(message)
            message.ack()
          }
        })
      })
      const client = jetstream(sender)
      return yield* windowed((events) =>
        Promise.all(events.map((event) => {
          const msgID = nuid.next()
          return client.publish(`${subject}.${event._tag}`, encode(event), {
            headers: attributesOf(event, msgID),
            msgID
          })
        }))
      )
    })
})

export const bareClient = bare("bare client", checked)
export const bareUnchecked = bare("bare client, unchecked", unchecked)

// -----------------------------------------------------------------------------
// The bridge
// -----------------------------------------------------------------------------

class Pulses extends EventBus.Service<Pulses>()("bench/Pulses", { events: [Pulse] }) {}

const bridged = (name: string, isHandledBy: boolean): Contender => ({
  name,
  open: (mode, { onHandled, server, subject }) =>
    Effect.gen(function*() {
      const openEnd = (
        options: Pick<NatsBridge.Options<"Pulse">, "source" | "export" | "import" | "handledBy">,
        handler?: (event: Pulse) => Effect.Effect<void>
      ) =>
        Effect.gen(function*() {
          const context = yield* Layer.build(Layer.fresh(Pulses.layer))
          const bus = Context.get(context, Pulses)
          if (handler !== undefined) yield* bus.on("Pulse", handler, { name: "handler", bufferSize: burst })
          yield* Effect.provideService(
            NatsBridge.make(Pulses, {
              servers: server,
              subject,
              mode,
              bufferSize: burst,
              ...(mode === "jetstream" && { stream }),
              ...options
            }),
            Pulses,
            bus
          )
          return bus
        })
      yield* openEnd(
        { source: "receiver", import: ["Pulse"], ...(isHandledBy && { handledBy: "handler" }) },
        (event) => Effect.sync(() => onHandled(event.n))
      )
      const bus = yield* openEnd({ source: "sender", export: ["Pulse"] })
      return {
        send: (events: ReadonlyArray<Pulse>) => {
          for (const event of events) bus.publishUnsafe(event)
          return Promise.resolve()
        }
      }
    }).pipe(Effect.orDie, Effect.provide(Logger.layer([])))
})

export const bridge = bridged("event bus to event bus", false)
export const bridgeHandledBy = bridged("event bus to event bus, handledBy", true)
