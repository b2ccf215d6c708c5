import { describe, it } from "@effect/vitest"
import { EventBus } from "@openwatch/event-bus"
import { Conformance } from "@openwatch/event-bus-conformance"

const harness: Conformance.Harness = {
  make: (options) => EventBus.make({ ...options, events: Conformance.events }),
  offers: Conformance.capabilities
}

describe("EventBus", () => {
  for (const { name, run, topic } of Conformance.situationsFor(harness)) {
    it.effect(`${topic}: ${name}`, () => run(harness), 60_000)
  }
})
