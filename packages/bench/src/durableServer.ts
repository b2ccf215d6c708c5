/**
 * Handles what another process publishes, and tells the process that forked this one when: in nanoseconds of the clock that
 * all processes of a machine share.
 */
import { Effect } from "effect"
import { contenders, type Place } from "./durable.ts"

const [name, place] = process.argv.slice(2)
const contender = contenders.find((contender) => contender.name === name)!
process.on("disconnect", () => process.exit(0))
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const onHandled = () => process.send!(String(process.hrtime.bigint()))
  const lane = yield* contender.open(JSON.parse(place!) as Place, 1, onHandled)
  yield* Effect.promise(lane.serve)
  process.send!("ready")
  return yield* Effect.never
})))
