/**
 * `openwatch config`.
 */
import * as Command from "effect/cli/Command"
import { configCheck } from "./configCheck.ts"

/** The group. */
export const config = Command.make("config").pipe(
  Command.withDescription("Look at a configuration"),
  Command.withSubcommands([configCheck])
)
