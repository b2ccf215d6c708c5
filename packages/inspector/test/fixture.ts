import { NodeHttpServer } from "@effect/platform-node"
import { EventBus } from "@openwatch/event-bus"
import { Inspector } from "@openwatch/inspector"
import { DateTime, Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import type { Socket } from "node:net"

export class Ping extends Schema.TaggedClass<Ping>()("Ping", { text: Schema.String, occurredAt: Schema.DateTimeUtc }) {}
export class Pong extends Schema.TaggedClass<Pong>()("Pong", { text: Schema.String, occurredAt: Schema.DateTimeUtc }) {}
export class TestBus extends EventBus.Service<TestBus>()("test/Bus", { events: [Ping, Pong] }) {}

export const pong = (): Pong => new Pong({ text: "", occurredAt: DateTime.makeUnsafe(0) })
export const ping = (text: string | number): Ping =>
  new Ping({ text: String(text), occurredAt: DateTime.makeUnsafe("2026-01-01T00:00:00Z") })

/** A real server with the inspector on a free port of the loopback, beside a route of its own, and the bus. */
export const server = (
  options?: Inspector.Options,
  listen: { readonly host?: string; readonly port?: number } = {}
): Layer.Layer<TestBus | HttpServer.HttpServer> =>
  HttpRouter.serve(
    Layer.mergeAll(
      Inspector.layer(TestBus, options),
      HttpRouter.add("GET", "/own", HttpServerResponse.text("its own"))
    ),
    { disableListenLog: true, disableLogger: true }
  ).pipe(
    Layer.provideMerge(
      // Whoever still reads when the test ends is cut off rather than waited for.
      NodeHttpServer.layer(() => Http.createServer({ maxHeaderSize: 64 * 1024 }), {
        host: "127.0.0.1",
        port: 0,
        disablePreemptiveShutdown: true,
        ...listen
      })
    ),
    Layer.provideMerge(TestBus.layer),
    Layer.orDie
  )

/** The port on which the server listens. */
export const port = Effect.map(HttpServer.HttpServer, ({ address }) => {
  if (!("port" in address)) throw new Error("the server has no port")
  return address.port
})

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
}

interface Request {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | ReadonlyArray<string>
  readonly host?: string
}

/** A request as an attacker may form it: every header, `Host` too, is what the test says. */
export const request = (path: string, options: Request = {}): Effect.Effect<Answer, Error, HttpServer.HttpServer> =>
  Effect.flatMap(port, (port) =>
    Effect.callback<Answer, Error>((resume) => {
      const outgoing = Http.request(
        {
          host: options.host ?? "127.0.0.1",
          port,
          path,
          method: options.method ?? "GET",
          headers: { host: `127.0.0.1:${port}`, ...options.headers },
          agent: false
        },
        (incoming) => {
          let text = ""
          incoming.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
          incoming.on("end", () =>
            resume(Effect.succeed({ status: incoming.statusCode!, headers: incoming.headers, text })))
        }
      )
      outgoing.on("error", (error) =>
        resume(Effect.fail(error)))
      const { body } = options
      if (typeof body === "string") outgoing.end(body)
      else {
        for (const chunk of body ?? []) outgoing.write(chunk)
        outgoing.end()
      }
      return Effect.sync(() => outgoing.destroy())
    }))

/** One server-sent event, as the wire has it. */
export interface Frame {
  readonly id: string | undefined
  readonly event: string
  readonly data: any
}

/** A reader of `api/events`, which reads only while it is asked to. */
export class EventReader {
  readonly frames: Array<Frame> = []
  private readonly incoming: Http.IncomingMessage
  private text = ""
  private waiting: (() => void) | undefined

  constructor(incoming: Http.IncomingMessage) {
    this.incoming = incoming
    incoming.setEncoding("utf8").on("data", (chunk: string) => {
      this.text += chunk
      const blocks = this.text.split("\n\n")
      this.text = blocks.pop()!
      for (const block of blocks) {
        const fields = new Map(
          block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)])
        )
        const data = fields.get("data")
        if (data !== undefined) {
          this.frames.push({ id: fields.get("id"), event: fields.get("event")!, data: JSON.parse(data) })
        }
      }
      this.waiting?.()
    })
    incoming.on("error", () => {})
  }

  get socket(): Socket {
    return this.incoming.socket
  }

  /** The frames, once they are as many, and whatever came with them. */
  readonly atLeast = (count: number): Effect.Effect<ReadonlyArray<Frame>> =>
    this.until((frames) => frames.length >= count)

  readonly until = (
    isEnough: (frames: ReadonlyArray<Frame>) => boolean
  ): Effect.Effect<ReadonlyArray<Frame>> =>
    Effect.callback((resume) => {
      const check = () => {
        if (!isEnough(this.frames)) return
        this.waiting = undefined
        resume(Effect.succeed(this.frames))
      }
      this.waiting = check
      check()
    })

  readonly pause = Effect.sync(() => this.incoming.pause())
  readonly resume = Effect.sync(() => this.incoming.resume())
  /** Reads on, and keeps nothing of it, nor of what it has read. */
  readonly forget = Effect.sync(() => {
    this.frames.length = 0
    this.incoming.removeAllListeners("data").resume()
  })
  readonly close = Effect.sync(() => this.incoming.destroy())
}

/** Opens `api/events`, and closes it with the scope. */
export const readEvents = (options: { readonly path?: string; readonly headers?: Record<string, string> } = {}) =>
  Effect.flatMap(port, (port) =>
    Effect.acquireRelease(
      Effect.callback<EventReader, Error>((resume) => {
        const outgoing = Http.get(
          {
            host: "127.0.0.1",
            port,
            path: options.path ?? "/api/events",
            headers: options.headers ?? {},
            agent: false
          },
          (incoming) => resume(Effect.succeed(new EventReader(incoming)))
        )
        outgoing.on("error", (error) => resume(Effect.fail(error)))
      }),
      (reader) => reader.close
    ))

/** Lets everything run that is scheduled; real sockets need some turns of the event loop. */
export const settle = Effect.callback<void>((resume) => {
  let turns = 0
  const turn = () => {
    if (++turns < 50) setImmediate(turn)
    else resume(Effect.void)
  }
  turn()
})
