/**
 * A real HTTP server on the loopback that answers as it is told and keeps what it got.
 */
import { Effect, Queue } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

/** A request, as it came. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

/** What the server does with a request once it has its body. */
export type Answer = (response: Http.ServerResponse, request: Http.IncomingMessage) => void

/** An answer with a status, and headers. */
export const status = (code: number, headers: Record<string, string> = {}): Answer => (response) =>
  void response.writeHead(code, headers).end("ok")

/** An answer that never comes. */
export const stalling: Answer = () => {}

/** A connection that is closed before an answer. */
export const closing: Answer = (_, request) => void request.socket.destroy()

/** Starts a server; its answers are taken one after the other, the last one goes on for ever. */
export const receiver = (...answers: ReadonlyArray<Answer>) =>
  Effect.gen(function*() {
    const received = yield* Queue.unbounded<Received>()
    let count = 0
    const server = Http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const answer = answers[Math.min(count++, answers.length - 1)]!
        answer(response, request)
        Queue.offerUnsafe(received, {
          method: request.method ?? "",
          path: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(chunks).toString("utf8")
        })
      })
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    const { port } = server.address() as Net.AddressInfo
    return { url: `http://127.0.0.1:${port}`, received, count: () => count }
  })
