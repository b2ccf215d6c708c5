/**
 * The HTTP client that sends alerts. It honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in upper and lower case, as they
 * are when it is made.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { EnvHttpProxyAgent } from "@effect/platform-node/Undici"
import { Effect, Layer } from "effect"
import type * as HttpClient from "effect/http/HttpClient"

const dispatcher = Layer.effect(
  NodeHttpClient.Dispatcher,
  Effect.acquireRelease(
    Effect.sync(() => new EnvHttpProxyAgent()),
    (agent) => Effect.promise(() => agent.destroy())
  )
)

/** The client, whose connections end with the scope. */
export const layer: Layer.Layer<HttpClient.HttpClient> = NodeHttpClient.layerUndiciNoDispatcher.pipe(
  Layer.provide(dispatcher)
)
