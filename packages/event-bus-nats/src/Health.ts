/**
 * What a bridge tells of itself.
 */
import type { DateTime } from "effect"

/**
 * The state and the counters of a bridge. All counters begin at the start of the bridge.
 */
export interface Health {
  readonly status: "connecting" | "connected" | "disconnected" | "closed"
  /** When the status last changed. */
  readonly since: DateTime.Utc
  /** The server connected to. */
  readonly server: string | undefined
  /** The last error: of a connection, of an attempt to connect, or of sending. */
  readonly lastError: string | undefined
  /** Connections made after the first one. */
  readonly reconnects: number
  /** Always `offered = exported + rejected + lost + dropped + buffered`. */
  readonly export: {
    /** Events of the kinds to export that were published in this process. */
    readonly offered: number
    /**
     * JetStream: events that the stream has stored. Core: events that a server has received. If the server does not let
     * this user publish them, they count here nevertheless, and `lastError` and the log say so.
     */
    readonly exported: number
    /** Events that cannot be sent: they do not encode, or are larger than the server or the stream allows. */
    readonly rejected: number
    /**
     * Events that were left when the bridge closed. Core: also events that were on their way when the connection broke.
     */
    readonly lost: number
    /** Events that the full buffer lost. */
    readonly dropped: number
    /** Events that wait to be sent or acknowledged. */
    readonly buffered: number
  }
  /** Always `received = imported + ignored + rejected + returned + waiting`. */
  readonly import: {
    /** Messages that the server delivered. One that is delivered again counts again. */
    readonly received: number
    /** Messages that were published on the bus. */
    readonly imported: number
    /** Messages that this process sent itself, or of kinds that it does not import. */
    readonly ignored: number
    /** Messages that are no event of the bus. They are not delivered again. */
    readonly rejected: number
    /** Messages that were given back without being published. They are delivered again. */
    readonly returned: number
    /** Messages that wait for room in the buffer of the `handledBy` subscription. */
    readonly waiting: number
    /** Imported events that the `handledBy` subscription has not finished with. */
    readonly unhandled: number
    /**
     * JetStream: events in the stream that were not yet delivered to this bridge or its queue, as the server last said.
     * Events of kinds that it does not import count too.
     */
    readonly lag: number
  }
}
