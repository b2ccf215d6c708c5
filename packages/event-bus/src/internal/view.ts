/**
 * A part of a bus as a bus of its own: fewer kinds, the same storage.
 */
import { Effect, Latch } from "effect"
import type { AnyEvent, EventSchemas } from "../EventBus.ts"
import { Face } from "./face.ts"
import type { Accepting } from "./hub.ts"
import { Members } from "./members.ts"
import { list, refuse } from "./validation.ts"

export class View extends Face {
  readonly members: Members
  readonly owners: ReadonlyArray<Members>
  readonly root: Face["root"]
  private readonly wider: Face
  private readonly accepted: Accepting
  private readonly closing = Latch.makeUnsafe()
  private isClosed = false

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
    this.members = new Members(this.root.schedule)
    this.owners = [...wider.owners, this.members]
    this.accepted = this.root.intake(this, this.kinds)
  }

  get isShutdown(): boolean {
    return this.isClosed || this.wider.isShutdown
  }

  readonly publishUnsafe = (event: AnyEvent): void => {
    this.accepted.accept(event)
  }

  readonly publishAll = (events: Iterable<AnyEvent>): Effect.Effect<void> =>
    Effect.sync(() => {
      this.accepted.acceptAll(events)
    })

  readonly shutdown: Effect.Effect<void> = Effect.sync(() => {
    this.isClosed = true
    this.members.forEach((subscription) => subscription.drainUnsafe())
    // What waits for it is somebody else's code: it does not run inside `shutdown`.
    this.root.schedule(() => this.closing.openUnsafe())
  })

  readonly awaitShutdown: Effect.Effect<void> = Effect.suspend(() =>
    Effect.raceFirst(this.closing.await, this.wider.awaitShutdown)
  )

  /** What the closing of its layer does. */
  readonly close: Effect.Effect<void> = Effect.andThen(this.shutdown, Effect.suspend(() => this.members.release))
}

/** The part of a bus, or of another view, that has these events. */
export const viewOf = (name: string, events: EventSchemas, wider: unknown): View =>
  wider instanceof Face
    ? new View(name, events, wider)
    : refuse(name, "layerFrom takes a bus of this package, and of this copy of it")
