import { describe, layer } from "@effect/vitest"
import * as Conformance from "@openwatch/event-bus-sql/Conformance"
import { Effect } from "effect"
import { Place, places } from "./shop.ts"

for (const place of places) {
  describe.skipIf(place.isSkipped)(`conformance, on ${place.name}`, () => {
    layer(place.layer, { timeout: "60 seconds", excludeTestServices: true })((it) => {
      for (const { name, run, topic } of Conformance.situations) {
        it.effect(`${topic}: ${name}`, () => Effect.flatMap(Place, ({ empty }) => run({ database: empty })))
      }
    })
  })
}
