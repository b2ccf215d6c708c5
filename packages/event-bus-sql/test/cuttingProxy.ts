/**
 * A way to PostgreSQL that can be cut between two messages of its protocol, or fall silent
 * (https://www.postgresql.org/docs/current/protocol-overview.html).
 */
import { Effect } from "effect"
import * as Net from "node:net"

/** Splits what one side sends into messages. */
class Messages {
  private rest: Buffer = Buffer.alloc(0)
  /** The first message of a client has no type. */
  private isFirst: boolean

  constructor(isClient: boolean) {
    this.isFirst = isClient
  }

  push(chunk: Buffer): Array<Buffer> {
    this.rest = Buffer.concat([this.rest, chunk])
    const messages: Array<Buffer> = []
    while (true) {
      // A type of one byte, and a length that counts itself.
      const header = this.isFirst ? 0 : 1
      if (this.rest.length < header + 4) return messages
      const length = header + this.rest.readInt32BE(header)
      if (this.rest.length < length) return messages
      messages.push(this.rest.subarray(0, length))
      this.rest = this.rest.subarray(length)
      this.isFirst = false
    }
  }
}

/** A proxy that forwards message by message until its scope closes. */
export const cuttingProxy = (target: number) =>
  Effect.gen(function*() {
    const sockets = new Set<Net.Socket>()
    /** How many messages are still forwarded before a connection is cut. */
    let left = Infinity
    /** Those that forward nothing any more. */
    const silent = new Set<Net.Socket>()
    const connect = (client: Net.Socket): void => {
      const server = Net.connect(target, "127.0.0.1")
      const forward = (from: Net.Socket, to: Net.Socket, messages: Messages): void => {
        from.on("data", (chunk: Buffer) => {
          if (silent.has(from)) return
          for (const message of messages.push(chunk)) {
            to.write(message)
            left--
            if (left !== 0) continue
            // What was forwarded arrives, and nothing else, either way.
            to.end()
            from.destroy()
            return
          }
        })
        from.on("error", () => {})
        from.on("close", () => {
          sockets.delete(from)
          if (!silent.has(from)) to.end()
        })
      }
      for (const socket of [client, server]) {
        sockets.add(socket)
        socket.setNoDelay(true)
      }
      forward(client, server, new Messages(true))
      forward(server, client, new Messages(false))
    }
    const server = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer(connect)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    return {
      port: (server.address() as Net.AddressInfo).port,
      /** Cuts the connection that forwards the message of this number, counted from now on over all of them. */
      cutAfter: (messages: number) =>
        Effect.sync(() => {
          left = messages
        }),
      /** From now on nothing arrives over the connections that there are, either way, and none of them ends. */
      silence: Effect.sync(() => {
        for (const socket of sockets) silent.add(socket)
      }),
      /** The operating system has found out: the silent connections end. */
      endSilent: Effect.sync(() => {
        for (const socket of silent) socket.destroy()
      }),
      /** Cuts nothing any more. Returns whether something was cut. */
      relent: Effect.sync(() => {
        const hasCut = left <= 0
        left = Infinity
        return hasCut
      })
    }
  })
