/**
 * A folder into which result files are put: which of them are complete?
 *
 * Nothing says that a writer has finished. So a file counts as complete once its size and its time of change have been
 * the same for two seconds. A file that is written elsewhere on the same file system and then renamed into the folder
 * is never read half written. One whose writer pauses may be. But when it changes again, it counts as complete again
 * two seconds later, and is read again.
 *
 * Files are those whose name ends with `.xml`, `.xml.gz` or `.xml.bz2` and does not begin with a dot. Folders inside
 * the folder are ignored. The folder is only read. It is looked at every second, which works on every file system. A
 * file that was complete is looked at only every half minute.
 */
import { Clock, Duration, Effect, FileSystem, Option, Path } from "effect"

/** How long a file has to stay the same. */
export const settleTime: Duration.Duration = Duration.seconds(2)

/** How often to look. */
export const lookInterval: Duration.Duration = Duration.seconds(1)

const fullLookInterval = Duration.seconds(30)

interface Seen {
  /** Changes when the file does. */
  readonly signature: string
  /** When it was first seen so, in nanoseconds of a clock that cannot be set back. */
  readonly since: bigint
  readonly isTaken: boolean
  /** Whether it was given back since its last change. */
  readonly isGivenBack: boolean
}

const nanos = (duration: Duration.Duration): bigint => Option.getOrElse(Duration.toNanos(duration), () => 0n)

/** A folder that is looked at. */
export interface ScanFolder {
  /**
   * Returns the files that are complete and that no look has returned since their last change, oldest first. If the
   * folder cannot be read, that is logged once, and there are no files until it can be read.
   */
  readonly look: Effect.Effect<ReadonlyArray<string>>
  /**
   * Makes the next look return a file again. Returns false if that was asked before, and the file has not changed
   * since.
   */
  readonly tryAgain: (file: string) => boolean
}

/** Makes what looks at a folder. */
export const make = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  let seen = new Map<string, Seen>()
  let nextFullLook = -1n
  let isReadable = true

  const list = fs.readDirectory(folder).pipe(
    Effect.tap(() =>
      Effect.suspend(() => {
        const wasReadable = isReadable
        isReadable = true
        return wasReadable ? Effect.void : Effect.logInfo(`The folder of scans ${folder} can be read again`)
      })
    ),
    Effect.catch((error) =>
      Effect.suspend(() => {
        const wasReadable = isReadable
        isReadable = false
        return Effect.as(
          wasReadable ? Effect.logError(`The folder of scans ${folder} cannot be read: ${error.message}`) : Effect.void,
          [] as Array<string>
        )
      })
    )
  )

  const look = Effect.gen(function*() {
    const now = yield* Clock.monotonicTimeNanos
    const isFullLook = now >= nextFullLook
    if (isFullLook) nextFullLook = now + nanos(fullLookInterval)

    const names = (yield* list).filter((name) => !name.startsWith(".") && /\.xml(\.gz|\.bz2)?$/i.test(name))
    const next = new Map<string, Seen>()
    const complete: Array<{ readonly file: string; readonly changedAt: number }> = []
    yield* Effect.forEach(names, (name) =>
      Effect.gen(function*() {
        const before = seen.get(name)
        if (before?.isTaken === true && !isFullLook) {
          next.set(name, before)
          return
        }
        const file = path.join(folder, name)
        const found = yield* Effect.option(fs.stat(file))
        if (Option.isNone(found) || found.value.type !== "File") return
        const { ino, mtime, size } = found.value
        const changedAt = Option.match(mtime, { onNone: () => 0, onSome: (time) => time.getTime() })
        const signature = `${size}/${changedAt}/${Option.getOrElse(ino, () => 0n)}`
        const same = before?.signature === signature
          ? before
          : { signature, since: now, isTaken: false, isGivenBack: false }
        const isComplete = now - same.since >= nanos(settleTime)
        if (isComplete && !same.isTaken) complete.push({ file, changedAt })
        next.set(name, { ...same, isTaken: isComplete })
      }), { concurrency: 16, discard: true })
    seen = next
    return complete
      .toSorted((a, b) => a.changedAt - b.changedAt || (a.file < b.file ? -1 : 1))
      .map(({ file }) => file)
  })

  const scanFolder: ScanFolder = {
    look,
    tryAgain: (file) => {
      const name = path.basename(file)
      const found = seen.get(name)
      if (found === undefined) return true
      seen.set(name, { ...found, isTaken: false, isGivenBack: true })
      return !found.isGivenBack
    }
  }
  return scanFolder
})
