/**
 * Writes pictures of the page to a folder, to be looked at: fleets small and large, with alerts and without, faults, views and dialogs,
 * wide and narrow, light and dark. Prints what axe-core finds wrong with each.
 * `npm run page:screens -w @openwatch/inspector -- FOLDER`, or `-- FOLDER many-fleet-360` for those whose names have that. Needs
 * Chromium.
 */
import { NodeRuntime } from "@effect/platform-node"
import type { FleetView } from "@openwatch/inspector"
import { Console, DateTime, Effect } from "effect"
import type { Page } from "playwright-core"
import { ping, pong, port, server, TestBus } from "../fixture.ts"
import { violations } from "./axe.ts"
import { Browser, openPage, see } from "./browser.ts"
import { past } from "./scene.ts"

const [folder = ".", only = ""] = process.argv.slice(2)

const at = (minutesAgo: number) => DateTime.makeUnsafe(Date.now() - minutesAgo * 60_000)

type HostOfFleet = Effect.Success<FleetView["Service"]["hosts"]>[number]
type Alert = Effect.Success<FleetView["Service"]["openAlerts"]>[number]

const roles = ["web", "db", "mail"] as const
const sites = ["berlin", "paris"] as const

const hostsOf = (count: number, downOf: number): ReadonlyArray<HostOfFleet> =>
  Array.from({ length: count }, (_, n) => {
    const state = downOf > 0 && n % downOf === 3
      ? "unreachable" as const
      : n % 29 === 7
      ? "unjudged" as const
      : n % 31 === 8
      ? "unknown" as const
      : "reachable" as const
    return {
      id: `host-${n}`,
      name: `${roles[n % 3]!}-${n}${n % 11 === 5 ? ".a-long-department.datacentre-7" : ""}.example.org`,
      endpoint: `192.0.2.${n % 250}:22`,
      state,
      since: state === "unknown" ? null : at(n * 17),
      reason: state === "unreachable"
        ? "no connection within 5s"
        : state === "unjudged"
        ? "this machine cannot probe it; it was reachable before"
        : null,
      responseTimeMs: state === "reachable" ? 4 + n / 2 : null,
      score: n % 5 === 4 ? null : 70 + (n * 7) % 29,
      tags: { site: sites[n % 2]!, role: roles[n % 3]! }
    }
  })

const severities = ["critical", "high", "medium", "low"] as const

const alertsOf = (count: number, hosts: ReadonlyArray<HostOfFleet>): ReadonlyArray<Alert> =>
  Array.from({ length: count }, (_, n) => {
    const { id, name } = hosts[(4 * n + 3) % hosts.length]!
    return {
      id: String(n),
      type: n % 4 === 2 ? "drift_minor" : "host_unreachable",
      severity: severities[Math.floor(4 * n / count)]!,
      hostId: id,
      host: { name },
      title: n % 4 === 2
        ? `${name} (192.0.2.${
          n % 250
        }:22) drifted (minor) in xccdf_org.ssgproject.content_benchmark_DEBIAN-11/cis_level1_server: 90.91 to 85.21 (-5.70 points)`
        : `${name} (192.0.2.${n % 250}:22) is unreachable: no connection within 5s`,
      ...(n % 5 === 1
        ? { state: "acknowledged" as const }
        : n % 5 === 3
        ? { state: "silenced" as const, silencedUntil: at(-120) }
        : {}),
      occurredAt: at(n * 3)
    }
  })

const fleetOf = (hosts: ReadonlyArray<HostOfFleet>, alerts: ReadonlyArray<Alert>): FleetView["Service"] => ({
  hosts: Effect.succeed(hosts),
  openAlerts: Effect.succeed(alerts),
  past: () => Effect.succeed(past),
  scores: () =>
    Effect.succeed([90.91, 93.2, 91, 77.27, 81.5, 86].map((score, n) => ({
      scanId: `scan-${n}`,
      profile: "cis_level1_server",
      score,
      at: at(60 * 24 * (6 - n))
    }))),
  maintenance: Effect.succeed(
    hosts.length < 10 ? [] : [
      {
        subjects: ["web-3.example.org", "role=mail"],
        hostIds: hosts.filter((_, n) => n % 3 === 2 || n === 3).map(({ id }) => id),
        isOn: true,
        since: at(30),
        until: at(-90),
        who: "ada",
        why: "new disks, one after the other"
      },
      {
        subjects: ["site=berlin"],
        hostIds: hosts.filter((_, n) => n % 2 === 0).map(({ id }) => id),
        isOn: false,
        since: at(-3_000),
        until: at(-3_180),
        who: null,
        why: ""
      }
    ]
  ),
  alertHistory: () =>
    Effect.succeed([{ from: "active", to: "acknowledged", at: at(40), who: "grace", why: "mine", until: null }]),
  changeAlerts: ({ ids }) => Effect.succeed(ids.map((id) => ({ id, from: "active", to: "acknowledged" })))
})

const three = hostsOf(3, 0)
const thirty = hostsOf(30, 9)
const many = hostsOf(2_000, 4)

const fleets: { readonly [name: string]: FleetView["Service"] } = {
  three: fleetOf(three, []),
  thirty: fleetOf(thirty, alertsOf(7, thirty)),
  many: fleetOf(many, alertsOf(300, many)),
  calm: fleetOf(many, []),
  unread: { ...fleetOf(thirty, []), hosts: Effect.die(new Error("the database is away")) }
}

const go = (hash: string) => (page: Page) => page.evaluate(`location.hash = "${hash}"`)

/** What is shown of a fleet, by its name, and how one comes there. */
const views: { readonly [name: string]: { readonly [view: string]: (page: Page) => Promise<unknown> } } = {
  three: { fleet: go("#/") },
  thirty: {
    fleet: go("#/"),
    found: go("#/?state=maintenance&alerts=drift"),
    host: go("#/hosts/host-3"),
    bus: go("#/bus"),
    one: async (page) => {
      await go("#/")(page)
      await page.getByRole("button", { name: /^Change: / }).nth(1).click()
      await page.locator("dialog .past").waitFor()
    }
  },
  many: {
    fleet: go("#/"),
    all: async (page) => {
      await go("#/")(page)
      await page.getByRole("button", { name: "Change all 300…" }).click()
      await page.getByRole("radio", { name: /^Silence/ }).click()
    }
  },
  calm: { fleet: go("#/") },
  unread: { fleet: go("#/") }
}

const shoot = Effect.fnUntraced(function*(name: string, fleet: FleetView["Service"]) {
  yield* Effect.gen(function*() {
    const bus = yield* TestBus
    yield* bus.subscribe({ kinds: ["Ping"], name: "a slow one", bufferSize: 4 })
    yield* bus.publishAll(Array.from({ length: 30 }, (_, n) => n % 3 === 0 ? pong() : ping(`event number ${n}`)))
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [1440, 1024, 768, 360]) {
        const { page } = yield* openPage(`http://127.0.0.1:${yield* port}/`, {
          colorScheme,
          viewport: { width, height: 900 }
        })
        yield* see(page, ".status", "Live")
        yield* see(page, "main", name === "unread" ? "cannot be read" : "example.org")
        for (const [view, come] of Object.entries(views[name]!)) {
          const file = `${folder}/${name}-${view}-${width}-${colorScheme}.png`
          if (!file.includes(only)) continue
          yield* Effect.promise(() => come(page))
          yield* Effect.promise(() => page.screenshot({ path: file, fullPage: view !== "one" && view !== "all" }))
          const wide = yield* Effect.promise(() => page.evaluate<number>("document.documentElement.scrollWidth"))
          const problems = [...yield* violations(page), ...(wide > width ? [`it is ${wide} px wide`] : [])]
          yield* Console.log([file, ...problems].join("\n  "))
          if (view === "one" || view === "all") yield* Effect.promise(() => page.keyboard.press("Escape"))
        }
      }
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(server({ fleet, describe: (event: any) => `web-3 is unreachable: ${event.text}` }))
  )
})

Effect.forEach(Object.entries(fleets), ([name, fleet]) => shoot(name, fleet), { discard: true }).pipe(
  Effect.provide(Browser.layer),
  NodeRuntime.runMain
)
