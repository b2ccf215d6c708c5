/**
 * Who runs a command.
 */
import { Effect } from "effect"
import { userInfo } from "node:os"

/** The name of the user, or its number if it has no name. */
export const name: Effect.Effect<string> = Effect.sync(() => {
  try {
    return userInfo().username
  } catch {
    // A container may run under a number that no user has.
    return `uid ${process.getuid?.() ?? "unknown"}`
  }
})
