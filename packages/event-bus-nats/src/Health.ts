/**
 * What a bridge tells of itself.
 */
import type { DateTime } from "effect"

/**
 * How a bridge is doing. All counters count from the start of the bridge.
 */
export interface Health {
  readonly status: "connecting" | "connected" | "disconnected" | "closed"
  /** Since when that is so. */
  readonly since: DateTime.Utc
  /** The server connected to. */
  readonly server: string | undefined
  /** What ended the last connection, or failed the last attempt, or the last sending. */
  readonly lastError: string | undefined
  /** Connections made after the first one. */
  readonly reconnects: number
  /** Always `offered = exported + rejected + lost + dropped + buffered`. */
  readonly export: {
    /** Events of the kinds to export that were published in this process. */
    readonly offered: number
    /**
     * Core: those that a server has received; it may not let this user publish them, which only `lastError` and the log
     * tell. JetStream: those that the stream has stored.
     */
    readonly exported: number
    /** Those that cannot be sent: they do not encode, or are larger than the server or the stream allows. */
    readonly rejected: number
    /** Core: those that were on their way when the connection broke. Both: those left when the bridge closed. */
    readonly lost: number
    /** Those that the full buffer lost. */
    readonly dropped: number
    /** Those that wait to be sent or to be acknowledged. */
    readonly buffered: number
  }
  /** Always `received = imported + ignored + rejected + returned + waiting`. */
  readonly import: {
    /** Messages that the server delivered; one that it delivers again counts again. */
    readonly received: number
    /** Those published on the bus. */
    readonly imported: number
    /** Those that this process sent, or of kinds it does not import. */
    readonly ignored: number
    /** Those that are no event of the bus. They are terminated, not delivered again. */
    readonly rejected: number
    /** Those given back unpublished, to be delivered again. */
    readonly returned: number
    /** Those that wait for room in the buffer of the `handledBy` subscription. */
    readonly waiting: number
    /** Of the imported, those that the `handledBy` subscription has not finished with. */
    readonly unhandled: number
    /**
     * JetStream: events in the stream that this bridge, or its queue, has not been delivered, when last heard of; those of
     * kinds that it does not import, too.
     */
    readonly lag: number
  }
}
