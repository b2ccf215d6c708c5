/**
 * A part of a bus as a bus of its own: fewer kinds, the same storage.
 */
import { Effect, PubSub } from "effect"
import type { AnyEvent, EventSchemas } from "../EventBus.ts"
import { Face } from "./face.ts"
import { Members } from "./members.ts"
import { list, refuse } from "./validation.ts"

export class View extends Face {
  readonly members: Members
  readonly root: Face["root"]
  private readonly wider: Face
  readonly hub: PubSub.PubSub<AnyEvent>

  constructor(name: string, events: EventSchemas, wider: Face) {
    super(name, events)
    const foreign = this.kinds.filter((kind, i) => wider.events[wider.kinds.indexOf(kind)] !== events[i])
    if (foreign.length > 0) {
      refuse(
        name,
        `layerFrom: "${wider.name}" does not carry ${
          list(foreign)
        }, or carries another schema of that _tag; its kinds are ${list(wider.kinds)}`
      )
    }
    this.wider = wider
    this.root = wider.root
    this.members = new Members(this.root.schedule, wider.members)
    this.hub = this.makeHub((subscription) => subscription.drainUnsafe())
  }

  override get isShutdown(): boolean {
    return super.isShutdown || this.wider.isShutdown
  }

  override readonly awaitShutdown: Effect.Effect<void> = Effect.suspend(() =>
    Effect.raceFirst(PubSub.awaitShutdown(this.hub), this.wider.awaitShutdown)
  )
}

/** The part of a bus, or of another view, that has these events. */
export const viewOf = (name: string, events: EventSchemas, wider: unknown): View =>
  wider instanceof Face
    ? new View(name, events, wider)
    : refuse(name, "layerFrom takes a bus of this package, and of this copy of it")
