/**
 * The live page: the bus and the fleet, seen in a browser.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { FleetView, Inspector } from "@openwatch/inspector"
import { Effect, Layer, Schema, Scope } from "effect"
import * as CliError from "effect/cli/CliError"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { AlertOutbox } from "../alert-router/AlertOutbox.ts"
import { sentenceOf } from "../events/EventSentence.ts"
import type { HostId } from "../events/HostId.ts"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import { SystemOutbox } from "../events/SystemOutbox.ts"
import type { HttpSettings } from "./HttpSettings.ts"
import { ProcessView } from "./ProcessView.ts"

/** The page cannot be served at the address of the settings. */
export class LivePageError extends Schema.TaggedError<LivePageError>()("LivePageError", {
  message: Schema.String,
  cause: Schema.Defect()
}) {
  override get [CliError.userMessage](): string {
    return this.message
  }
}

/** A page that has its address. */
export interface LivePage {
  /** As a browser asks for it. */
  readonly url: string
  /**
   * Serves requests until its scope closes. Then the address is given back. Open pages are cut off and not waited for.
   */
  readonly layer: Layer.Layer<never, never, SystemEventBus | FleetView | ProcessView | SystemOutbox | AlertOutbox>
}

/** How many events from before the start the page shows. */
const pastShown = 200

const urlOf = (host: string, port: number): string => `http://${host.includes(":") ? `[${host}]` : host}:${port}/`

/** The address of a host's view, where people find the page at `url`. */
export const addressOfHost = (url: string) => (hostId: HostId): string =>
  `${url.endsWith("/") ? url : `${url}/`}#/hosts/${encodeURIComponent(hostId)}`

// Nobody can ask for "every address".
const reachableAt: { readonly [address: string]: string } = { "0.0.0.0": "127.0.0.1", "::": "::1" }

const reasons: { readonly [code: string]: string } = {
  EADDRINUSE: "another program listens there",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied",
  ENOTFOUND: "no such host"
}

const reasonOf = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  return reasons[code] ?? String(cause)
}

/**
 * Takes the address before anything else starts. So an address that cannot be used is known at once. Until the layer is
 * built, all requests but `/health` get the status 503.
 */
export const listen = Effect.fn("LivePage.listen")(
  function*(
    { host, hosts, port, token, tokens }: HttpSettings
  ): Effect.fn.Return<LivePage, LivePageError, Scope.Scope> {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const server = createServer()
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      if (server.listenerCount("request") > 1) return
      const headers = { ...Inspector.securityHeaders, connection: "close" }
      if (request.url === "/health") {
        response.writeHead(200, { ...headers, "content-type": "application/json" }).end(`{"status":"ok"}`)
      } else {
        response.writeHead(503, { ...headers, "retry-after": "1" }).end("OpenWatch is starting, or stopping.\n")
      }
    })
    const http = yield* NodeHttpServer.make(() => server, { host, port, disablePreemptiveShutdown: true }).pipe(
      Scope.provide(scope),
      Effect.mapError(({ cause }) =>
        new LivePageError({
          message: `cannot serve the live page at ${urlOf(host, port)}: ${reasonOf(cause)}; ` +
            "`http.host` and `http.port` of the configuration, or `--port`, say where, and `http: false` that there is to be none",
          cause
        })
      )
    )
    // Closing alone would wait for whoever is connected, even for those who have asked for nothing yet, as browsers do.
    const close = Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
    yield* Scope.addFinalizer(scope, close)

    const { address, port: boundPort } = server.address() as AddressInfo
    const url = urlOf(reachableAt[address] ?? address, boundPort)
    const routes = Layer.unwrap(
      Effect.gen(function*() {
        const fleet = yield* FleetView
        const events = yield* SystemOutbox
        const outboxes = [events, yield* AlertOutbox]
        // The page is for now, and the log for what was: where it cannot be read, it shows what comes.
        const past = events.last(pastShown).pipe(
          Effect.catch(({ message }) =>
            Effect.as(Effect.logWarning(`The live page begins without events: ${message}`), [])
          )
        )
        const { metrics, readiness } = yield* ProcessView
        return Inspector.layer(SystemEventBus, {
          title: "OpenWatch",
          token,
          tokens,
          hosts,
          fleet,
          outboxes,
          describe: sentenceOf,
          past,
          metrics,
          readiness,
          isAlone: true
        })
      })
    )
    const served = HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provide([Layer.succeed(HttpServer.HttpServer, http), NodeHttpServer.layerHttpServices]),
      Layer.provide(Layer.effectDiscard(Effect.addFinalizer((exit) => Scope.close(scope, exit))))
    )
    return {
      url,
      layer: Layer.effectDiscard(Effect.logInfo(`The live page is at ${url}`)).pipe(Layer.provide(served))
    }
  }
)
