/**
 * To be run with few file descriptors: takes all of them, resolves a name, and prints what it finds, or as what that
 * fails. With `released` as its argument, all are given back when the system's resolver has looked for the name.
 */
import { Effect } from "effect"
import { closeSync, openSync } from "node:fs"
import * as NameResolver from "../../src/liveness/NameResolver.ts"

const [name, isReleased] = process.argv.slice(2)

const takeAll = Effect.sync(() => {
  const taken: Array<number> = []
  // The limit is below this.
  while (taken.length < 10_000) {
    try {
      taken.push(openSync("/dev/null", "r"))
    } catch {
      break
    }
  }
  return taken
})

/** The resolver looks in a thread of its own. So nothing of the program may run before it has. */
const release = (taken: ReadonlyArray<number>) =>
  Effect.sync(() => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    taken.forEach((descriptor) => closeSync(descriptor))
  })

const program = Effect.gen(function*() {
  const { resolve } = yield* NameResolver.NameResolver
  const taken = yield* takeAll
  const resolving = resolve(name!)
  return yield* isReleased === undefined
    ? Effect.flip(resolving)
    : Effect.map(Effect.all([resolving, release(taken)], { concurrency: 2 }), ([addresses]) => addresses)
}).pipe(Effect.provide(NameResolver.layer))

process.stdout.write(JSON.stringify(await Effect.runPromise(program)))
