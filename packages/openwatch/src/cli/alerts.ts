/**
 * `openwatch alerts`.
 */
import * as Command from "effect/cli/Command"
import { alertsList } from "./alertsList.ts"
import { alertsResend } from "./alertsResend.ts"

/** The group. */
export const alerts = Command.make("alerts").pipe(
  Command.withDescription("Look at alerts that were raised"),
  Command.withSubcommands([alertsList, alertsResend])
)
