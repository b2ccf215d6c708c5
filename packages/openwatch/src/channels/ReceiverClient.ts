/**
 * The HTTP client that sends alerts. It honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in upper and lower case, as they
 * are when it is made.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { EnvHttpProxyAgent } from "@effect/platform-node/Undici"
import { Effect, Layer, Schema } from "effect"
import * as CliError from "effect/cli/CliError"
import type * as HttpClient from "effect/http/HttpClient"

/** A proxy of the environment cannot be used. Its URL is not told: it may have a password. */
export class InvalidProxy extends Schema.TaggedError<InvalidProxy>()("InvalidProxy", {
  /** The variables that are set. */
  variables: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `the environment variable ${
      this.variables.join(" or ")
    } names no proxy that can be used; expected a URL that ` +
      "begins with http:// or https://, or nothing"
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

const variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"]

const dispatcher = Layer.effect(
  NodeHttpClient.Dispatcher,
  Effect.acquireRelease(
    Effect.try({
      try: () => new EnvHttpProxyAgent(),
      catch: () => new InvalidProxy({ variables: variables.filter((name) => (process.env[name] ?? "") !== "") })
    }),
    (agent) => Effect.promise(() => agent.destroy())
  )
)

/** The client, whose connections end with the scope. */
export const layer: Layer.Layer<HttpClient.HttpClient, InvalidProxy> = NodeHttpClient.layerUndiciNoDispatcher.pipe(
  Layer.provide(dispatcher)
)
