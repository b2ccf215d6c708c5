/**
 * `openwatch alerts resend`: sends again what channels have given up.
 */
import { Console, Effect, Layer, Option, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { resend } from "../alert-router/Resending.ts"
import { DeliveryStore } from "../alert-store/DeliveryStore.ts"
import * as SqlDeliveryStore from "../alert-store/SqlDeliveryStore.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import * as Outboxes from "../storage/Outboxes.ts"
import * as StorageOptions from "./storageOptions.ts"

const ids = Argument.String("ID").pipe(
  Argument.withDescription("The id of an alert, or its last 12 characters, as `openwatch alerts list` shows it"),
  Argument.variadic()
)

const channel = Flag.String("channel").pipe(
  Flag.withMetavar("NAME"),
  Flag.withDescription("Only by this channel; without an ID, all that it has given up"),
  Flag.optional
)

/** Not all could be sent again. Each that could not has been named. */
export class NotResent extends Schema.TaggedError<NotResent>()("NotResent", { problems: Schema.Array(Schema.String) }) {
  override get message(): string {
    return this.problems.join("\n")
  }

  override get [CliError.userMessage](): string {
    return this.message
  }
}

const resendAll = Effect.fnUntraced(function*(given: ReadonlyArray<string>, channel: string | undefined) {
  const store = yield* DeliveryStore
  const problems: Array<string> = []
  const ids = given.length > 0 || channel === undefined ? Array.from(new Set(given)) : yield* store.givenUp(channel)
  if (ids.length === 0) {
    problems.push(
      channel === undefined
        ? "expected the ID of an alert, or --channel"
        : `the channel ${JSON.stringify(channel)} has given up nothing`
    )
  }
  const resent = yield* resend(ids, channel)
  for (const { alertId, channels, isEnding, refusal } of resent) {
    if (channels === undefined) problems.push(`there is no alert ${alertId}`)
    else if (channels.length === 0 && refusal !== undefined) {
      const refused = `alert ${alertId} ${refusal}: it is not sent again`
      // Who asks for all that can be sent has got that.
      if (given.length === 0) yield* Console.log(refused)
      else problems.push(refused)
    } else if (channels.length === 0) {
      const who = channel === undefined ? "no channel" : `the channel ${JSON.stringify(channel)}`
      problems.push(`${who} has ${channel === undefined ? "" : "not "}given up alert ${alertId}`)
    } else {
      yield* Console.log(`${isEnding ? "the end of " : ""}alert ${alertId} is sent again to ${channels.join(", ")}`)
    }
  }
  if (problems.length > 0) yield* new NotResent({ problems })
})

/** The command. */
export const alertsResend = Command.make(
  "resend",
  { ids, channel, data: StorageOptions.data },
  Effect.fnUntraced(function*({ channel, data, ids }) {
    yield* resendAll(ids, Option.getOrUndefined(channel)).pipe(
      Effect.catchTag(
        ["OutboxError", "SqlError"],
        (error) => Effect.fail(new NotResent({ problems: [describeSqlError(error)] }))
      ),
      Effect.provide(
        Layer.mergeAll(SqlDeliveryStore.layer, Outboxes.alerts()).pipe(
          Layer.provide(StorageOptions.layer(data, { mustExist: true }))
        )
      )
    )
  })
).pipe(
  Command.withDescription(
    "Have sent again what channels have given up of an alert, once what they failed of is mended. `openwatch run` sends it. " +
      "An alert that is over is not sent any more, but its end is."
  ),
  Command.withShortDescription("Send again what channels have given up"),
  Command.withExamples([
    { command: "openwatch alerts resend 3f6b8e0c1d2e", description: "Send it to the channels that were not sent it" },
    { command: "openwatch alerts resend --channel on-call", description: "Send all that this channel has given up" }
  ])
)
