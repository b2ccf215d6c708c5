/**
 * `openwatch channels test`: send a test message by a channel, now, and say what came back.
 */
import { Console, DateTime, Duration, Effect, Layer, Schema } from "effect"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { sendTimeout } from "../alert-router/Sending.ts"
import * as Channels from "../channels/Channels.ts"
import * as ReceiverClient from "../channels/ReceiverClient.ts"
import * as TestAlert from "../channels/TestAlert.ts"
import * as Configuration from "../configuration/Configuration.ts"

const name = Argument.String("NAME").pipe(
  Argument.withDescription("Name of a channel of the configuration: its type, where it has no other")
)

const configuration = Flag.String("config").pipe(
  Flag.withMetavar("CONFIG.yaml"),
  Flag.withDescription("Configuration that has the channel (default: openwatch.yaml)"),
  Flag.withDefault("openwatch.yaml")
)

/** The test did not arrive. */
export class TestFailed extends Schema.TaggedError<TestFailed>()("TestFailed", { problem: Schema.String }) {
  override get message(): string {
    return this.problem
  }

  override get [CliError.userMessage](): string {
    return this.problem
  }
}

/** The command. */
export const channelsTest = Command.make(
  "test",
  { name, configuration },
  Effect.fnUntraced(function*({ configuration: file, name }) {
    const { channels } = yield* Configuration.load(file, process.env)
    const found = channels.find((channel) => channel.name === name)
    if (found === undefined) {
      const names = channels.map((channel) => JSON.stringify(channel.name)).join(", ")
      return yield* new TestFailed({
        problem: `configuration ${file} has no channel ${JSON.stringify(name)}; ` +
          (names === "" ? "it has none" : `it has ${names}`)
      })
    }
    const { test } = yield* Channels.makeOne(found)
    const answer = yield* test(yield* TestAlert.make(name)).pipe(
      Effect.catch(({ message }) =>
        Effect.fail(new TestFailed({ problem: `the test by "${name}" failed: ${message}` }))
      ),
      Effect.timeoutOrElse({
        duration: sendTimeout,
        orElse: () =>
          Effect.fail(
            new TestFailed({ problem: `the test by "${name}" failed: no end after ${Duration.format(sendTimeout)}` })
          )
      })
    )
    return yield* Console.log(`A test was sent by "${name}": ${answer}`)
  }, Effect.provide(Layer.mergeAll(ReceiverClient.layer, DateTime.layerCurrentZoneLocal)))
).pipe(
  Command.withDescription(
    "Send a message by a channel of the configuration, now, that says that it is a test, and say what came back. Nothing is stored."
  ),
  Command.withShortDescription("Send a test message by a channel"),
  Command.withExamples([
    { command: "openwatch channels test on-call", description: "By the channel of that name in openwatch.yaml" },
    { command: "openwatch channels test email --config /etc/openwatch.yaml", description: "Of another configuration" }
  ])
)
