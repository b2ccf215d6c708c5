/** To be run with few file descriptors: takes all of them, resolves a name, and prints as what that fails. */
import { Effect } from "effect"
import { openSync } from "node:fs"
import * as NameResolver from "../../src/liveness/NameResolver.ts"

const takeAll = Effect.sync(() => {
  // The limit is below this.
  for (let taken = 0; taken < 10_000; taken++) {
    try {
      openSync("/dev/null", "r")
    } catch {
      return
    }
  }
})

const program = Effect.gen(function*() {
  const { resolve } = yield* NameResolver.NameResolver
  yield* takeAll
  return yield* Effect.flip(resolve("web-1.test"))
}).pipe(Effect.provide(NameResolver.layer))

process.stdout.write(JSON.stringify(await Effect.runPromise(program)))
