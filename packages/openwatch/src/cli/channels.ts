/**
 * `openwatch channels`: do alerts reach people?
 */
import * as Command from "effect/cli/Command"
import { channelsTest } from "./channelsTest.ts"

/** The command, with its subcommands. */
export const channels = Command.make("channels").pipe(
  Command.withDescription("Look after the ways by which alerts are sent"),
  Command.withSubcommands([channelsTest])
)
