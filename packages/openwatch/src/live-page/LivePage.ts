/**
 * The live page: the bus and the fleet, seen in a browser.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { FleetView, Inspector } from "@openwatch/inspector"
import { Data, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { SystemEventBus } from "../events/SystemEventBus.ts"
import type { HttpSettings } from "./HttpSettings.ts"

/** The page cannot be served at the address of the settings. */
export class LivePageError extends Data.TaggedError("LivePageError")<{
  readonly message: string
  readonly cause: unknown
}> {}

const authority = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** The page's address, as a browser asks for it. */
export const url: Effect.Effect<string, never, HttpServer.HttpServer> = Effect.map(
  HttpServer.HttpServer,
  ({ address }) => {
    if (!("port" in address)) throw new TypeError("the live page is served over TCP")
    const { address: host } = address
    const shown = String(host)
    // Nobody can ask for "every address".
    return `http://${authority(shown === "0.0.0.0" ? "127.0.0.1" : shown === "::" ? "::1" : shown, address.port)}/`
  }
)

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

/** Serves the page until the scope closes; the pages that are open are cut off then. */
export const layer = (
  { host, hosts, port, token }: HttpSettings
): Layer.Layer<HttpServer.HttpServer, LivePageError, SystemEventBus | FleetView> => {
  const server = NodeHttpServer.layer(() => createServer(), { host, port, disablePreemptiveShutdown: true })
  const cannotServe = (cause: unknown): Layer.Layer<Layer.Success<typeof server>, LivePageError> =>
    Layer.effectContext(Effect.fail(
      new LivePageError({
        message: `cannot serve http://${authority(host, port)}/: ${reasonOf(cause)}; ` +
          "`http.host` and `http.port` of the configuration say where",
        cause
      })
    ))
  const routes = Layer.unwrap(
    Effect.map(FleetView, (fleet) => Inspector.layer(SystemEventBus, { title: "OpenWatch", token, hosts, fleet }))
  )
  return HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(Layer.catchTag(server, "ServeError", ({ cause }) => cannotServe(cause)))
  )
}
