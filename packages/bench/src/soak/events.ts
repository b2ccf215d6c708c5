/**
 * The events of the soak, numbered in the order in which they are published.
 */
import { DateTime, Schema } from "effect"
import { queryObjects } from "node:v8"

const fields = { n: Schema.Int, occurredAt: Schema.DateTimeUtc }

export class Red extends Schema.TaggedClass<Red>()("Red", fields) {}
export class Green extends Schema.TaggedClass<Green>()("Green", fields) {}
export class Blue extends Schema.TaggedClass<Blue>()("Blue", fields) {}

export type Color = Red | Green | Blue

export const colors = [Red, Green, Blue] as const
export const kinds = ["Red", "Green", "Blue"] as const

export const makeColor = (Color: (typeof colors)[number], n: number): Color =>
  new Color({ n, occurredAt: DateTime.makeUnsafe(n) })

/** Events that something still refers to. */
export const liveColors = (): number => colors.reduce((sum, Color) => sum + (queryObjects(Color) as number), 0)
