/**
 * `openwatch scan`.
 */
import * as Command from "effect/cli/Command"
import { scanImport } from "./scanImport.ts"
import { scanList } from "./scanList.ts"
import { scanShow } from "./scanShow.ts"

/** The group. */
export const scan = Command.make("scan").pipe(
  Command.withDescription("Look at how compliant hosts are"),
  Command.withSubcommands([scanImport, scanList, scanShow])
)
