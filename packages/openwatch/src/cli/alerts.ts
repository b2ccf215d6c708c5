/**
 * `openwatch alerts`.
 */
import * as Command from "effect/cli/Command"
import { alertsChange } from "./alertsChange.ts"
import { alertsList } from "./alertsList.ts"
import { alertsResend } from "./alertsResend.ts"

/** The group. */
export const alerts = Command.make("alerts").pipe(
  Command.withDescription("Look at alerts, and say what becomes of them"),
  Command.withSubcommands([alertsList, ...alertsChange, alertsResend])
)
