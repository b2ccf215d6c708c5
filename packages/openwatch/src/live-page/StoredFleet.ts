/**
 * What the live page shows of the fleet: the hosts of the inventory, with what is stored about them.
 */
import { Outage, type Outbox } from "@openwatch/event-bus-sql"
import { FleetView, InspectorApi } from "@openwatch/inspector"
import { DateTime, Effect, Layer } from "effect"
import type * as SqlError from "effect/sql/SqlError"
import * as AlertActions from "../alert-router/AlertActions.ts"
import { AlertOutbox } from "../alert-router/AlertOutbox.ts"
import { openStates } from "../alert-router/Lifecycle.ts"
import * as Maintenance from "../alert-router/Maintenance.ts"
import { type AlertsRefused, AlertStore, type AlertStoreError, type StoredAlert } from "../alert-store/AlertStore.ts"
import { describe as describeSeries } from "../events/Series.ts"
import * as ResponseTimes from "../host-history/ResponseTimes.ts"
import * as Uptime from "../host-history/Uptime.ts"
import type { Host } from "../inventory/Host.ts"
import { describeSqlError } from "../storage/describeSqlError.ts"
import { type Day, HostHistory, type Past } from "../storage/HostHistory.ts"
import { HostStates, type ProbeRecord, stateOf, type Verdict } from "../storage/HostStates.ts"
import { Maintenances, type Scheduled } from "../storage/Maintenances.ts"
import { type ScanReport, Scans } from "../storage/Scans.ts"

/** To the inspector, what cannot be read is a defect. The request then gets the status 500. */
const orDie = <A>(read: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A> => Effect.orDie(Outage.noted(read))

/** The state of a host, since when, and why. */
const standingOf = (verdict: Verdict | undefined, probe: ProbeRecord | undefined) => {
  const state = stateOf(verdict, probe)
  if (state === "unjudged" && probe !== undefined) {
    return {
      state,
      since: DateTime.makeUnsafe(probe.probedAt),
      reason: `this machine cannot probe it${
        verdict === undefined ? "" : `; it was ${stateOf(verdict, undefined)} before`
      }`,
      responseTimeMs: null
    }
  }
  return {
    state,
    since: verdict?.since ?? null,
    reason: verdict?.reason?.text ?? null,
    responseTimeMs: verdict?.responseTimeMs ?? null
  }
}

/** How many alerts of a host are shown. */
const alertsAtMost = 50

const hour = 3_600_000

/** A day, a week, a month, a quarter. */
const uptimeHours = [24, 7 * 24, 30 * 24, 90 * 24]

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits))

const responseTimesOf = (days: ReadonlyArray<Day>) => {
  const times = ResponseTimes.sum(days.map(({ responseTimes }) => responseTimes))
  const percentile = (percent: number) => ResponseTimes.percentile(times, percent) ?? null
  return {
    answered: ResponseTimes.count(times),
    failed: days.reduce((sum, { failed }) => sum + failed, 0),
    p50: percentile(50),
    p95: percentile(95),
    p99: percentile(99)
  }
}

const pastOf = ({ alerts, now, past, scans }: {
  readonly past: Past
  readonly scans: ReadonlyArray<ScanReport>
  readonly alerts: ReadonlyArray<StoredAlert>
  readonly now: number
}): typeof InspectorApi.HostPast.Type => ({
  uptimes: uptimeHours.map((hours) => {
    // To the minute: what has not changed since is not sent again.
    const uptime = Uptime.within(past.spans, Math.floor(now / 60_000) * 60_000, hours * hour)
    const percent = Uptime.percent(uptime)
    return {
      hours,
      percent: percent === undefined ? null : rounded(percent, 3),
      judgedSeconds: Math.round((uptime.reachable + uptime.unreachable) / 1_000),
      unreachableSeconds: Math.round(uptime.unreachable / 1_000)
    }
  }),
  responseTimes: responseTimesOf(past.days),
  days: past.days.map((day) => ({
    ...responseTimesOf([day]),
    day: DateTime.formatIsoDateUtc(DateTime.makeUnsafe(day.day * 24 * hour))
  })),
  probes: past.probes.map(({ at, responseTimeMs }) => ({
    at: DateTime.makeUnsafe(at),
    responseTimeMs: responseTimeMs ?? null
  })),
  scans: scans.map(({ failing, scanId, scannedAt, score, series }) => ({
    scanId,
    profile: describeSeries(series),
    at: scannedAt,
    score,
    failing: failing?.map(({ id, severity, title }) => ({ id, severity, title: title ?? null })) ?? null
  })),
  alerts: alerts.map(({ alert: { id, occurredAt, severity, title, type }, resolvedAt, state }) => ({
    id,
    type,
    severity,
    title,
    occurredAt,
    state,
    endedAt: resolvedAt ?? null
  }))
})

/** A maintenance with the hosts that it is of. */
const shownMaintenance = (
  hosts: ReadonlyArray<Host>,
  { isOn, since, subjects, until, who, why }: Scheduled
): typeof InspectorApi.Maintenance.Type => ({
  subjects: subjects.map(Maintenance.formatSubject),
  hostIds: hosts.flatMap(({ id, name, tags }) =>
    subjects.some((subject) => Maintenance.isOf(subject, { hostId: id, tags: { ...tags, host: name } })) ? [id] : []
  ),
  isOn,
  since,
  until,
  who: who ?? null,
  why
})

const refused = ({ message, problems }: AlertsRefused) => {
  const reason = { message, ids: problems.map(({ id }) => id) }
  return Effect.fail(
    problems.some(({ isUnknown }) => isUnknown)
      ? new InspectorApi.AlertNotFound(reason)
      : new InspectorApi.AlertsNotChanged(reason)
  )
}

const unavailable = (error: AlertStoreError | Outbox.OutboxError) =>
  Effect.fail(new InspectorApi.AlertsUnavailable({ message: describeSqlError(error) }))

/**
 * The fleet of the hosts that are watched when it is looked at, with maintenance that is `planned` and that somebody has begun. While
 * the database fails, so does looking.
 */
export const layer = (
  hosts: () => ReadonlyArray<Host>,
  planned: ReadonlyArray<Maintenance.Planned> = []
): Layer.Layer<FleetView, never, HostHistory | HostStates | Scans | Maintenances | AlertStore | AlertOutbox> =>
  Layer.effect(
    FleetView,
    Effect.gen(function*() {
      const hostStates = yield* HostStates
      const scans = yield* Scans
      const alerts = yield* AlertStore
      const outbox = yield* AlertOutbox
      const history = yield* HostHistory
      const { schedule } = yield* Maintenances
      const find = (hostId: string) => {
        const host = hosts().find(({ id }) => id === hostId)
        return host === undefined
          ? new InspectorApi.HostNotFound({ message: `No host has the id ${hostId}` })
          : Effect.succeed(host)
      }
      return FleetView.of({
        hosts: Effect.gen(function*() {
          const verdicts = yield* hostStates.verdicts
          const scores = yield* scans.lastScores
          const probes = yield* hostStates.probes
          return hosts().map(({ endpoint, id, name, tags }) =>
            Object.assign(
              { id, name, endpoint, tags, score: scores.get(id) ?? null },
              standingOf(verdicts.get(id), probes.get(id))
            )
          )
        }).pipe(orDie),

        openAlerts: Effect.map(
          alerts.list({ states: openStates, order: "worst" }),
          (open) =>
            open.map(({ alert, silencedUntil, state }) =>
              Object.assign(
                {},
                alert,
                {
                  state: openStates.find((open) => open === state) ?? "active"
                },
                silencedUntil === undefined ? {} : { silencedUntil }
              )
            )
        ).pipe(orDie),

        maintenance: schedule(planned).pipe(
          Effect.map((scheduled) => scheduled.map((each) => shownMaintenance(hosts(), each))),
          orDie
        ),

        changeAlerts: Effect.fnUntraced(function*({ action, ids, seconds, who, why }) {
          const now = yield* DateTime.now
          const until = seconds === undefined ? undefined : DateTime.add(now, { seconds })
          const changed = yield* AlertActions.perform(ids, { action, who, why, until }).pipe(
            Effect.provideService(AlertStore, alerts),
            Effect.provideService(AlertOutbox, outbox),
            Effect.catchTags({ AlertsRefused: refused, OutboxError: unavailable, SqlError: unavailable })
          )
          return changed.map(({ alert, from, to }) => ({ id: alert.id, from, to }))
        }),

        alertHistory: (id) =>
          alerts.history(id).pipe(
            Effect.map((history) =>
              history.map(({ until, ...change }) => Object.assign(change, { until: until ?? null }))
            ),
            Effect.catchTags({
              AlertsRefused: ({ message }) => Effect.fail(new InspectorApi.AlertNotFound({ message })),
              SqlError: unavailable
            })
          ),

        past: (hostId) =>
          Effect.flatMap(find(hostId), (host) =>
            orDie(Effect.gen(function*() {
              return pastOf({
                past: yield* history.of(host.id),
                scans: yield* scans.newest(host.id),
                alerts: yield* alerts.list({ host: host.id, limit: alertsAtMost }),
                now: DateTime.toEpochMillis(yield* DateTime.now)
              })
            }))),

        scores: Effect.fnUntraced(function*(hostId) {
          const { id } = yield* find(hostId)
          const scores = yield* orDie(scans.scores(id))
          return scores.map(({ scanId, scannedAt, score, series }) => ({
            scanId,
            profile: describeSeries(series),
            score,
            at: scannedAt
          }))
        })
      })
    })
  )
