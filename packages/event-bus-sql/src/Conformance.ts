/**
 * The promises of an outbox, as a list of small situations that any database can be put in.
 *
 * **When to use**
 *
 * For a `SqlClient` of your own, another driver, or a service that speaks the protocol of PostgreSQL: run every situation
 * against it.
 *
 * **Details**
 *
 * Each situation takes *a way to make databases*, and fails with what it expected and what it found. They run in real time,
 * a second or so each, and need a runtime whose clock goes.
 *
 * **Example** (Running the suite against a client)
 *
 * ```ts
 * import * as Conformance from "@openwatch/event-bus-sql/Conformance"
 * import * as NodeSqlite from "@openwatch/event-bus-sql/NodeSqlite"
 * import { Effect, Layer } from "effect"
 * import { mkdtempSync, rmSync } from "node:fs"
 *
 * const harness: Conformance.Harness = {
 *   database: Effect.map(
 *     Effect.acquireRelease(
 *       Effect.sync(() => mkdtempSync("/tmp/outbox-")),
 *       (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
 *     ),
 *     (folder) => Layer.fresh(NodeSqlite.layer(`${folder}/db`, { busyTimeout: 0 }))
 *   )
 * }
 *
 * // In a test file: one `it.live(name, () => run(harness))` for each situation.
 * for (const { run, topic } of Conformance.situations) {
 *   if (topic === "Publishing") await Effect.runPromise(run(harness))
 * }
 * ```
 */
import { type Effect, type Layer, type Scope } from "effect"
import type * as SqlClient from "effect/sql/SqlClient"
import { consuming } from "./internal/conformance/consuming.ts"
import { failing } from "./internal/conformance/failing.ts"
import { lasting } from "./internal/conformance/lasting.ts"
import { publishing } from "./internal/conformance/publishing.ts"
import { sharing } from "./internal/conformance/sharing.ts"
import type { ConformanceFailure } from "./internal/conformance/stage.ts"

export { ConformanceFailure } from "./internal/conformance/stage.ts"

/**
 * A way to make databases.
 */
export interface Harness {
  /**
   * A database without tables of an outbox. Each time the layer is built it makes a client of its own, as a process has; so
   * the layer is a fresh one.
   */
  readonly database: Effect.Effect<Layer.Layer<SqlClient.SqlClient, unknown>, never, Scope.Scope>
}

/** One promise of an outbox. */
export interface Situation {
  /** What the situation is about. Several share a topic. */
  readonly topic: string
  /** The promise, in words. Unique. */
  readonly name: string
  /** Makes a database, puts an outbox on it in the situation, and fails unless the promise is kept. */
  readonly run: (harness: Harness) => Effect.Effect<void, ConformanceFailure>
}

/** All situations. */
export const situations: ReadonlyArray<Situation> = [...publishing, ...consuming, ...failing, ...sharing, ...lasting]
