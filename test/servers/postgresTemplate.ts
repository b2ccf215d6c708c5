/**
 * What vitest runs before the tests of a project that start many clusters: to initialize one takes longer than most of its tests.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, Exit, Scope } from "effect"
import { isMissing, template } from "./Postgres.ts"

export default async (): Promise<(() => Promise<void>) | undefined> => {
  if (isMissing) return undefined
  const scope = Scope.makeUnsafe()
  await Effect.runPromise(template.pipe(Scope.provide(scope), Effect.provide(NodeServices.layer)))
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
