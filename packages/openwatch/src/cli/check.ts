/**
 * `openwatch check`.
 */
import * as Command from "effect/cli/Command"
import { checkHosts } from "./checkHosts.ts"

/** The group. */
export const check = Command.make("check").pipe(
  Command.withDescription("Look at something now"),
  Command.withSubcommands([checkHosts])
)
