/**
 * Events as messages: CloudEvents 1.0 in the binary content mode of the NATS protocol binding. The attributes are headers,
 * the event is the body, as JSON.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node"
import type { EventBus } from "@openwatch/event-bus"
import { DateTime, Exit, Schema } from "effect"

/**
 * Where an event came from.
 */
export interface Origin {
  /** The event's `ce-id`: the same for each delivery of one event. */
  readonly id: string
  /** The event's `ce-source`: the process that sent it. */
  readonly source: string
}

/**
 * The events that a bridge of this process took in. What is in here is not sent out again, by no bridge: with one map for
 * each, two bridges of one process would pass an event round.
 */
const origins = new WeakMap<EventBus.AnyEvent, Origin>()

export const originOf = (event: EventBus.AnyEvent): Origin | undefined => origins.get(event)

/** An event that cannot be made a message, and never will be. */
export class EncodeError extends Error {}

/** An event as a message. */
export interface Encoded {
  readonly headers: MsgHdrs
  readonly body: string
}

/** What a message is. */
export type Incoming =
  | { readonly _tag: "Event"; readonly event: EventBus.AnyEvent }
  /** Sent by this process, or of a kind that it does not import. */
  | { readonly _tag: "Ignored" }
  /** No event of the bus. */
  | { readonly _tag: "Rejected"; readonly type: string; readonly why: string }

interface Codec {
  /** The kind as a header. */
  readonly type: string
  readonly encode: (event: EventBus.AnyEvent) => Exit.Exit<unknown, Schema.SchemaError>
  readonly decode: (json: unknown) => Exit.Exit<EventBus.AnyEvent, Schema.SchemaError>
}

/** Turns the events of a bus into messages and back. */
export class CloudEvents {
  private readonly source: string
  private readonly encodedSource: string
  private readonly imports: ReadonlySet<string>
  private readonly codecs = new Map<string, Codec>()

  constructor(options: {
    readonly source: string
    readonly kinds: ReadonlyArray<string>
    readonly events: EventBus.EventSchemas
    readonly imports: ReadonlyArray<string>
  }) {
    this.source = options.source
    this.encodedSource = encodeHeader(options.source)
    this.imports = new Set(options.imports)
    // The codec of each kind is the bus's own `EventJson` for it: the type names the member of that union.
    options.events.forEach((event, i) => {
      const json = Schema.toCodecJson(event)
      const kind = options.kinds[i]!
      this.codecs.set(kind, {
        type: encodeHeader(kind),
        encode: Schema.encodeUnknownExit(json),
        decode: Schema.decodeUnknownExit(json)
      })
    })
  }

  /** Throws an `EncodeError` and nothing else. */
  encode(event: EventBus.AnyEvent, id: string): Encoded {
    try {
      const { encode, type } = this.codecs.get(event._tag)!
      const encoded = encode(event)
      if (Exit.isFailure(encoded)) throw new Error(explain(encoded))
      const attributes = headers()
      attributes.append("ce-specversion", "1.0")
      attributes.append("ce-id", id)
      attributes.append("ce-source", this.encodedSource)
      attributes.append("ce-type", type)
      attributes.append("ce-time", DateTime.formatIso(event.occurredAt))
      attributes.append("ce-datacontenttype", "application/json")
      return { headers: attributes, body: JSON.stringify(encoded.value) }
    } catch (error) {
      throw new EncodeError(`The event does not encode: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  decode(attributes: MsgHdrs | undefined, body: Uint8Array): Incoming {
    const version = attributes?.get("ce-specversion") ?? ""
    if (attributes === undefined || version === "") {
      return { _tag: "Rejected", type: "", why: "it is no CloudEvent in binary mode: it has no header ce-specversion" }
    }
    const type = decodeHeader(attributes.get("ce-type"))
    const id = decodeHeader(attributes.get("ce-id"))
    const source = decodeHeader(attributes.get("ce-source"))
    if (!version.startsWith("1.")) {
      return { _tag: "Rejected", type, why: `its ce-specversion is ${JSON.stringify(version.slice(0, 20))}, not 1.0` }
    }
    if (type === "" || id === "" || source === "") {
      return { _tag: "Rejected", type, why: "it is no CloudEvent: one of ce-id, ce-source and ce-type is missing" }
    }
    if (source === this.source) return { _tag: "Ignored" }
    const codec = this.codecs.get(type)
    if (codec === undefined) {
      return {
        _tag: "Rejected",
        type,
        why: `the bus has no such kind; it has ${Array.from(this.codecs.keys()).join(", ")}`
      }
    }
    if (!this.imports.has(type)) return { _tag: "Ignored" }
    let json: unknown
    try {
      json = JSON.parse(textDecoder.decode(body))
    } catch {
      return { _tag: "Rejected", type, why: "its body is no JSON in UTF-8" }
    }
    const decoded = codec.decode(json)
    if (Exit.isFailure(decoded)) return { _tag: "Rejected", type, why: explain(decoded) }
    origins.set(decoded.value, { id, source })
    return { _tag: "Event", event: decoded.value }
  }
}

const textDecoder = new TextDecoder("utf-8", { fatal: true })

const explain = (exit: Exit.Failure<unknown, Schema.SchemaError>): string => {
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error.message
  return String(exit.cause)
}

/** As the HTTP binding has it: printable ASCII stays, but for space, `"` and `%`. */
export const encodeHeader = (value: string): string =>
  value.toWellFormed().replace(/[^!-~]|["%]/gu, (character) => encodeURIComponent(character))

const decodeHeader = (value: string): string => {
  if (!value.includes("%")) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
