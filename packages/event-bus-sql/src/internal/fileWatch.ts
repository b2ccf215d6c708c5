/**
 * SQLite: commits of other processes, seen as they are made.
 *
 * A commit appends to the file `<database>-wal`, which the operating system tells of. It does so at the first byte, when the
 * commit cannot be read yet; so `PRAGMA data_version`, which changes with each commit of another connection, is looked at for
 * some milliseconds. Where a file cannot be watched, nothing is lost: the log is looked at at each poll.
 */
import { Effect, type Scope } from "effect"
import { existsSync, watch } from "node:fs"
import { setTimeout } from "node:timers/promises"
import type { Database } from "./database.ts"
import { Signal } from "./signal.ts"

/** The pauses between the looks that follow a change of the file, in milliseconds. */
const pauses = [1, 2, 3, 4]

/** Real time, of the operating system, whatever clock the application has. */
const pause = (millis: number): Effect.Effect<void> =>
  Effect.promise((signal) => setTimeout(millis, undefined, { signal, ref: false }).catch(() => {}))

/** Raises the signal when a file changes, until the scope closes. False where it cannot be watched. */
const watchFile = (file: string, changed: Signal): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.match(
    Effect.acquireRelease(
      Effect.try(() =>
        watch(file, { persistent: false }, () => changed.raise())
          // The file is gone, or is on a file system that cannot tell any more.
          .on("error", () => {})
      ),
      (watcher) => Effect.sync(() => watcher.close())
    ),
    { onSuccess: () => true, onFailure: () => false }
  )

/** Calls back after commits of other connections, until the scope closes. */
export const watchCommits = (
  database: Database,
  persist: <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A>,
  onCommit: Effect.Effect<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const file = yield* persist(database.file)
    if (file === undefined) return
    const changed = new Signal()
    // Without a write-ahead log the file itself changes.
    const isWatched = yield* watchFile(existsSync(`${file}-wal`) ? `${file}-wal` : file, changed)
    if (!isWatched) return
    let known = yield* persist(database.dataVersion)
    const hasCommitted = Effect.map(persist(database.dataVersion), (version) => {
      if (version === known) return false
      known = version
      return true
    })
    const look = Effect.gen(function*() {
      let isSeen = yield* hasCommitted
      for (const millis of pauses) {
        if (isSeen) break
        yield* pause(millis)
        isSeen = yield* hasCommitted
      }
      if (isSeen) yield* onCommit
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(changed.wait, look)))
  })
