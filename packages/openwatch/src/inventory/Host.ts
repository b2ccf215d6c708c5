/**
 * A host of the inventory: what is watched, and where it answers.
 */
import { Effect, Schema } from "effect"
import { v5 } from "uuid"
import { HostId } from "../events/HostId.ts"

/**
 * The namespace (RFC 9562 section 6.6) of host ids that are derived from a name. It never changes. With another one,
 * all that is stored about a host without an id of its own would belong to nobody.
 */
export const hostNamespace = "f7d4d34f-5820-486b-8051-6d6e505abe0a"

/**
 * Returns the id of a host that has none in the inventory: the UUIDv5 (RFC 9562 section 5.5) of its name in
 * `hostNamespace`. The same name gives the same id on any machine and in any file.
 */
export const hostIdFromName = (name: string): HostId => HostId.make(v5(name, hostNamespace))

/** A host that is watched. */
export class Host extends Schema.Class<Host>("Host")({
  id: HostId,
  /** What people call it; unique in its inventory. */
  name: Schema.String,
  /** An IPv4 or IPv6 address, or a name that resolves to one. */
  address: Schema.String,
  /** The TCP port of its SSH server. */
  port: Schema.Int,
  /** What else is known of it, such as `site: berlin`. */
  tags: Schema.Record(Schema.String, Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed({})))
}) {
  /** `address:port`, with an IPv6 address in brackets. */
  get endpoint(): string {
    return this.address.includes(":") ? `[${this.address}]:${this.port}` : `${this.address}:${this.port}`
  }
}
