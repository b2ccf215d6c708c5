/**
 * A small fleet in SQLite that follows the bus, for tests of the live page.
 */
import { FleetView, InspectorApi } from "@openwatch/inspector"
import { type Host, SystemEventBus } from "@openwatch/openwatch"
import { DateTime, Effect, Layer } from "effect"
import { DatabaseSync } from "node:sqlite"

const states = ["unreachable", "reachable"] as const

/** The fleet of these hosts, with what has happened to them since the layer was built. */
export const layer = (hosts: ReadonlyArray<Host>): Layer.Layer<FleetView, never, SystemEventBus> =>
  Layer.effect(
    FleetView,
    Effect.gen(function*() {
      const db = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(":memory:")),
        (db) => Effect.sync(() => db.close())
      )
      db.exec(`
        CREATE TABLE states (host TEXT PRIMARY KEY, reachable INTEGER, since INTEGER, ms REAL);
        CREATE TABLE scores (scan TEXT PRIMARY KEY, host TEXT, score REAL, at INTEGER);
        CREATE TABLE alerts (id INTEGER PRIMARY KEY, type TEXT, severity TEXT, host TEXT, title TEXT, at INTEGER);
      `)
      const raise = db.prepare("INSERT INTO alerts (type, severity, host, title, at) VALUES (?, ?, ?, ?, ?)")

      const bus = yield* SystemEventBus
      yield* bus.on(["HeartbeatPulse", "DriftDetected"], (event) =>
        Effect.sync(() => {
          const at = DateTime.toEpochMillis(event.occurredAt)
          if (event._tag === "DriftDetected") {
            db.prepare("INSERT INTO scores VALUES (?, ?, ?, ?)").run(event.scanId, event.hostId, event.currentScore, at)
            raise.run("drift_major", "high", event.hostId, `Compliance moved by ${event.scoreDelta} points`, at)
          } else {
            db.prepare("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?)")
              .run(event.hostId, Number(event.reachable), at, event.responseTimeMs)
            if (event.reachable) {
              db.prepare("DELETE FROM alerts WHERE host = ? AND type = 'host_unreachable'").run(event.hostId)
            } else raise.run("host_unreachable", "high", event.hostId, "Host is unreachable", at)
          }
        }), { name: "fleet-store" })

      return FleetView.of({
        hosts: Effect.sync(() =>
          hosts.map(({ endpoint, id, name }) => {
            const known = db.prepare("SELECT * FROM states WHERE host = ?").get(id)
            const scan = db.prepare("SELECT score FROM scores WHERE host = ? ORDER BY at DESC").get(id)
            return {
              id,
              name,
              endpoint,
              state: known === undefined ? "unknown" as const : states[Number(known["reachable"])]!,
              since: known === undefined ? null : DateTime.makeUnsafe(Number(known["since"])),
              responseTimeMs: known === undefined ? null : Number(known["ms"]),
              score: scan === undefined ? null : Number(scan["score"])
            }
          })
        ),
        openAlerts: Effect.sync(() =>
          db.prepare("SELECT * FROM alerts ORDER BY id DESC").all().map((row) => ({
            id: String(row["id"]),
            type: String(row["type"]),
            severity: "high" as const,
            hostId: String(row["host"]),
            title: String(row["title"]),
            occurredAt: DateTime.makeUnsafe(Number(row["at"]))
          }))
        ),
        scores: (hostId) =>
          hosts.some(({ id }) => id === hostId)
            ? Effect.sync(() =>
              db.prepare("SELECT * FROM scores WHERE host = ? ORDER BY at").all(hostId).map((row) => ({
                scanId: String(row["scan"]),
                profile: "cis",
                score: Number(row["score"]),
                at: DateTime.makeUnsafe(Number(row["at"]))
              }))
            )
            : new InspectorApi.HostNotFound({ message: `No host has the id ${hostId}` })
      })
    })
  )
