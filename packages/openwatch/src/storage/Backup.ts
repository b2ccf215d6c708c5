/**
 * A copy of the database, made by SQLite's online backup while others use the database.
 *
 * The copy is the database as it was at one moment. It is written under a temporary name, checked, and only then
 * renamed. So a file with the final name is complete.
 */
import { Cause, Effect, FileSystem, Path } from "effect"
import { backup as copyDatabase, DatabaseSync } from "node:sqlite"
import { type DataFolder, nameOf, sqliteFile, StorageError } from "./Storage.ts"

/** All pages are copied in one step. If others write between two steps, SQLite begins again, perhaps for ever. */
const allPages = 2_147_483_647

const reasonOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** Closed with the scope. */
const open = (file: string, readOnly: boolean) =>
  Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(file, { readOnly })),
    (database) => Effect.sync(() => database.close())
  )

/** Fails if the file is not a whole database. */
const lookOver = (file: string) =>
  Effect.scoped(Effect.flatMap(open(file, false), (database) =>
    Effect.sync(() => {
      // A copy has no write-ahead log beside it; whoever goes on with it makes one.
      database.exec("PRAGMA journal_mode = DELETE")
      const { quick_check: found } = database.prepare("PRAGMA quick_check(1)").get() as { readonly quick_check: string }
      if (found !== "ok") throw new Error(`the copy is damaged, so the database may be: ${found}`)
    })))

/** Copies the database of a data folder to a file that is not there yet. Only its owner can read it. Returns its size in bytes. */
export const copy = Effect.fn("Backup.copy")(function*(location: DataFolder, file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const source = yield* sqliteFile(location, true)
  const fail = (problem: string) => new StorageError({ database: nameOf(location), problem })
  const taken = fail(`${file} is there already; a backup does not write over it`)
  if (yield* Effect.orElseSucceed(fs.exists(file), () => false)) return yield* taken

  const folder = path.dirname(file)
  if (!(yield* Effect.orElseSucceed(fs.exists(folder), () => false))) return yield* fail(`there is no folder ${folder}`)
  const partial = path.join(folder, `.${path.basename(file)}.${process.pid}`)
  return yield* Effect.gen(function*() {
    yield* Effect.acquireRelease(
      fs.writeFileString(partial, "", { flag: "wx", mode: 0o600 }),
      () => Effect.ignore(fs.remove(partial))
    )
    const database = yield* open(source, true)
    yield* Effect.promise(() => copyDatabase(database, partial, { rate: allPages }))
    yield* lookOver(partial)
    // Unlike a new name, a link does not take the place of a file that has come meanwhile.
    yield* fs.link(partial, file)
    return Number((yield* fs.stat(file)).size)
  }).pipe(
    Effect.scoped,
    Effect.sandbox,
    Effect.catch((cause) => Effect.fail(fail(`cannot be copied to ${file}: ${reasonOf(Cause.squash(cause))}`)))
  )
})
