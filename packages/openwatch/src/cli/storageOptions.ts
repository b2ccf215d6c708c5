/**
 * Where commands find the database: `DATABASE_URL`, or else the folder of `--data`.
 */
import { Effect, Layer } from "effect"
import * as Flag from "effect/cli/Flag"
import * as Storage from "../storage/Storage.ts"

/** `--data DIR`. */
export const data = Flag.String("data").pipe(
  Flag.withMetavar("DIR"),
  Flag.withDescription("Folder of what is stored (default: ./.openwatch); DATABASE_URL, where it is set, comes first"),
  Flag.withDefault("./.openwatch")
)

/** Where the flag and the environment say that the database is. */
export const location = (dataFolder: string) =>
  Effect.suspend(() => Effect.fromResult(Storage.locate({ databaseUrl: process.env["DATABASE_URL"], dataFolder })))

/** The database that the flag and the environment name. */
export const layer = (dataFolder: string, options?: { readonly mustExist?: boolean }) =>
  Layer.unwrap(Effect.map(location(dataFolder), (location) => Storage.layer(location, options)))
