/**
 * Maintenance that somebody has begun, on each database.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Host,
  hostIdFromName,
  HostStates,
  InMaintenance,
  Maintenance,
  Maintenances,
  Storage
} from "@openwatch/openwatch"
import { DateTime, Duration, Effect, Layer } from "effect"
import { Database, databases, outboxes } from "./Database.ts"

const subject = Maintenance.parseSubject
const hour = { duration: Duration.hours(1), who: "ada", why: "new disk" }

const withStore = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Database, ({ empty }) =>
    Effect.flatMap(empty, (location) =>
      effect.pipe(
        Effect.provide(
          Layer.mergeAll(Maintenances.layer, HostStates.layer).pipe(
            Layer.provideMerge(outboxes),
            Layer.provideMerge(Storage.layer(location)),
            Layer.fresh
          )
        ),
        Effect.scoped
      )))

for (const { isPostgres, isSkipped, layer, name } of databases) {
  describe.skipIf(isSkipped)(`maintenance on ${name}`, () => {
    it.layer(layer.pipe(Layer.provideMerge(NodeServices.layer)), {
      timeout: "60 seconds",
      excludeTestServices: isPostgres
    })((it) => {
      it.effect("goes on until its time is over or it is ended, one for each subject", () =>
        Effect.gen(function*() {
          const maintenances = yield* Maintenances.Maintenances
          yield* maintenances.begin(subject("web-1"), hour)
          yield* maintenances.begin(subject("web-1"), { ...hour, duration: Duration.hours(3), why: "two disks" })
          yield* maintenances.begin(subject("site=berlin"), { ...hour, duration: Duration.hours(2) })
          yield* maintenances.begin(subject("db"), { ...hour, duration: Duration.zero })
          const going = yield* maintenances.current
          assert.deepStrictEqual(going.map(({ subject, who, why }) => [Maintenance.formatSubject(subject), who, why]), [
            ["site=berlin", "ada", "new disk"],
            ["web-1", "ada", "two disks"]
          ])
          assert.strictEqual(
            DateTime.distance(going[1]!.since, going[1]!.until).toString(),
            Duration.hours(3).toString()
          )
          // The one that is unknown is the reason why none ends.
          assert.deepStrictEqual(yield* maintenances.end([subject("web-1"), subject("db")]), [subject("db")])
          assert.strictEqual((yield* maintenances.current).length, 2)
          assert.deepStrictEqual(yield* maintenances.end([subject("web-1")]), [])
          assert.deepStrictEqual((yield* maintenances.current).map(({ subject }) => subject), [subject("site=berlin")])
        }).pipe(withStore))

      it.effect("is known of hosts of the inventory, and by their tags; of any where there is no inventory", () =>
        Effect.gen(function*() {
          const { isKnown } = yield* Maintenances.Maintenances
          const known = (...texts: ReadonlyArray<string>) => Effect.forEach(texts, (text) => isKnown(subject(text)))
          assert.deepStrictEqual(yield* known("web-1", "site=berlin"), [true, true])
          const id = hostIdFromName("web-1")
          yield* (yield* HostStates.HostStates).takeInventory([
            new Host({ id, name: "web-1", address: "a", port: 22, tags: { site: "berlin" } })
          ])
          assert.deepStrictEqual(yield* known("web-1", id, "site=berlin", "web-2", "site=paris", "role=web"), [
            true,
            true,
            true,
            false,
            false,
            false
          ])
        }).pipe(withStore))

      it.effect("moves with a host that is renamed, whether it keeps its id or its address", () =>
        Effect.gen(function*() {
          const maintenances = yield* Maintenances.Maintenances
          const { takeInventory } = yield* HostStates.HostStates
          const host = (id: string, name: string, port: number) =>
            new Host({ id: hostIdFromName(id), name, address: "a", port })
          // Before there is an inventory only the name is known.
          yield* maintenances.begin(subject("early"), hour)
          yield* takeInventory([host("web-1", "web-1", 22), host("db", "db", 23), host("early", "early", 24)])
          yield* maintenances.begin(subject("web-1"), { ...hour, duration: Duration.hours(2) })
          yield* maintenances.begin(subject(hostIdFromName("db")), { ...hour, duration: Duration.hours(3) })
          yield* takeInventory([host("www", "www", 22), host("db", "postgres", 23), host("early", "early", 24)])
          assert.deepStrictEqual(
            (yield* maintenances.current).map(({ subject }) => Maintenance.formatSubject(subject)),
            ["early", "www", "postgres"]
          )
          const isIn = yield* Effect.flatten(InMaintenance).pipe(
            Effect.provide(Maintenances.suppressing([{
              subjects: [subject("postgres")],
              starts: [{ _tag: "Once", at: yield* DateTime.now }],
              duration: Duration.hours(1),
              why: ""
            }]))
          )
          // Alerts from before have the former name.
          const suppressed = [["www", "web-1"], ["db", "db"], ["web-1", "web-1"], ["early", "early"]].map((
            [id, name]
          ) => isIn({ hostId: hostIdFromName(id!), tags: { host: name! } }))
          assert.deepStrictEqual(suppressed, [true, true, false, true])
          assert.deepStrictEqual(yield* maintenances.end([subject("www"), subject("early"), subject("web-1")]), [
            subject("web-1")
          ])
          assert.deepStrictEqual(yield* maintenances.end([subject("www"), subject("early"), subject("postgres")]), [])
          assert.deepStrictEqual(yield* maintenances.current, [])
        }).pipe(withStore))

      it.effect("is scheduled with what is planned: what goes on by its end, then what begins next", () =>
        Effect.gen(function*() {
          const { begin, schedule } = yield* Maintenances.Maintenances
          const now = yield* DateTime.now
          const planned = (host: string, hours: number): Maintenance.Planned => ({
            subjects: [subject(host)],
            starts: [{ _tag: "Once", at: DateTime.add(now, { hours }) }],
            duration: Duration.hours(3),
            why: ""
          })
          yield* begin(subject("begun"), hour)
          const scheduled = yield* schedule([
            planned("later", 5),
            planned("past", -4),
            planned("soon", 1),
            planned("on", -1)
          ])
          assert.deepStrictEqual(
            scheduled.map(({ isOn, subjects, who }) => [subjects.map(Maintenance.formatSubject), isOn, who]),
            [[["begun"], true, "ada"], [["on"], true, undefined], [["soon"], false, undefined], [
              ["later"],
              false,
              undefined
            ]]
          )
        }).pipe(withStore))

      it.effect("keeps no character that could forge a line", () =>
        Effect.gen(function*() {
          const { begin } = yield* Maintenances.Maintenances
          const { why } = yield* begin(subject("web-1"), { ...hour, why: "new\n\u001b[2Jdisk" })
          assert.strictEqual(why, "new\ufffd[2Jdisk")
        }).pipe(withStore))

      // @spec system-alerts
      // @ac AC-16
      it.effect("[system-alerts/AC-16] suppresses the alerts of its hosts, begun and planned", () =>
        Effect.gen(function*() {
          const at = DateTime.subtract(yield* DateTime.now, { minutes: 1 })
          const planned: Maintenance.Planned = {
            subjects: [subject("site=paris")],
            starts: [{ _tag: "Once", at }],
            duration: Duration.hours(1),
            why: ""
          }
          yield* (yield* Maintenances.Maintenances).begin(subject("site=berlin"), hour)
          const isIn = yield* Effect.flatten(InMaintenance).pipe(Effect.provide(Maintenances.suppressing([planned])))
          const suppressed = ["berlin", "paris", "rome"].map((site) =>
            isIn({ hostId: hostIdFromName(site), tags: { site } })
          )
          assert.deepStrictEqual(suppressed, [true, true, false])
        }).pipe(withStore))
    })
  })
}
