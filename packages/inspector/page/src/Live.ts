/**
 * What the page knows, and how it keeps knowing it.
 *
 * Counters are asked for once a second; events come by an `EventSource`. The former decides whether the server is there:
 * when it does not answer, the page says so and asks again, ever more slowly, and once it answers the events go on after
 * the last one seen. The page is live when both come.
 *
 * A hidden page lets go of its events: a browser opens six connections to a server and no more, so that six forgotten tabs
 * would leave none to the one that is looked at.
 */
import type {
  AlertChange,
  AlertTransition as AlertTransitionSchema,
  BusState as BusStateSchema,
  Changed,
  ConsumerState,
  DeadLetterChoice,
  DeadLetters,
  DeadLetterState,
  Gap,
  HostPast as HostPastSchema,
  HostState as HostStateSchema,
  Lost,
  Maintenance as MaintenanceSchema,
  OpenAlert as OpenAlertSchema,
  OutboxState,
  Score as ScoreSchema,
  SubscriptionState as SubscriptionStateSchema
} from "../../src/InspectorApi.ts"
import { type AlertsOutcome, type AlertsToBe, changeAlerts } from "./changeAlerts.ts"
import { get, getJson, NotFound, post, reasonOf, Unauthorized } from "./requests.ts"
import type { View } from "./View.ts"

export type BusState = typeof BusStateSchema.Encoded
export type SubscriptionState = typeof SubscriptionStateSchema.Encoded
export type HostState = typeof HostStateSchema.Encoded
export type AlertTransition = typeof AlertTransitionSchema.Encoded
export type AlertAction = (typeof AlertChange.Encoded)["action"]
export type OpenAlert = typeof OpenAlertSchema.Encoded
export type Maintenance = typeof MaintenanceSchema.Encoded
export type HostPast = typeof HostPastSchema.Encoded
export type Score = typeof ScoreSchema.Encoded
export type Outbox = typeof OutboxState.Encoded
export type Consumer = typeof ConsumerState.Encoded
export type DeadLetter = typeof DeadLetterState.Encoded

/** What can be done with dead letters. */
export type Change = "requeue" | "discard"

/**
 * Whether the page is up to date: `live` when the last question was answered and events come as they are published. After
 * `shutdown` of the bus none come, and the server is still there.
 */
export type Status = "connecting" | "live" | "shutdown" | "reconnecting" | "unauthorized"

/** What is wrong with a subscription, in a word for people; `undefined` when nothing is. */
export type Trouble = "losing events" | "stuck" | "filling up"

export interface Subscription extends SubscriptionState {
  /** Names need not be unique: this is. */
  readonly key: string
  readonly trouble: Trouble | undefined
}

/** A line in the list of events: an event, or something that happened to the list itself. */
export type Entry =
  | { readonly key: number; readonly kind: string; readonly at: string; readonly json: string; readonly notice?: never }
  | { readonly key: number; readonly notice: string; readonly json?: never }

/** One sample a second, oldest first: times in seconds, rates in events per second. */
export interface History {
  readonly times: ReadonlyArray<number>
  readonly published: { readonly [kind: string]: ReadonlyArray<number> }
  readonly dropped: ReadonlyArray<number>
}

export interface State {
  readonly status: Status
  readonly bus: BusState | undefined
  readonly subscriptions: ReadonlyArray<Subscription>
  readonly history: History
  /** Newest first. */
  readonly entries: ReadonlyArray<Entry>
  readonly hosts: ReadonlyArray<HostState>
  readonly alerts: ReadonlyArray<OpenAlert>
  readonly maintenance: ReadonlyArray<Maintenance>
  /** The fleet was read once, so that none is none. */
  readonly isFleetRead: boolean
  /** The server is there, and cannot read the fleet: what is known of it is out of date. */
  readonly isFleetUnread: boolean
  readonly outboxes: ReadonlyArray<Outbox>
  /** The first dead letters of each outbox, by its name. */
  readonly letters: ReadonlyMap<string, ReadonlyArray<DeadLetter>>
}

/** Five minutes of samples. */
const historyLength = 300
/** What the server keeps, and some that were there before a gap. */
const entriesLength = 1_200
/** For how long a loss, or a standstill, counts as trouble, in milliseconds. */
const lossMatters = 10_000
const standstillMatters = 3_000
const pollEvery = 1_000
/** Counters that nobody looks at tell only that the server is there. */
const busEvery = { bus: 0, fleet: 5_000, host: 5_000 } as const
const fleetEvery = 5_000
/** An event may change the fleet. A hundred a second do not have it read more often than this. */
const fleetAtMostEvery = 2_000
/** How long events are gathered, for one change of the page; the first after a silence do not wait for others. */
const gathered = 1_000
const firstGathered = 50
const outboxesEvery = { bus: 3_000, fleet: 15_000, host: 15_000 } as const
const slowestRetry = 10_000

interface Watched {
  taken: number
  takenAt: number
  dropped: number
  droppedAt: number
}

/** What was read of a path, and by which the server knows that it is the same still. */
interface Known {
  readonly etag: string
  readonly value: unknown
}

/** The very same value as the last time, if nothing has changed. */
const getChanged = async <A>(path: string, known: Map<string, Known>): Promise<A> => {
  const before = known.get(path)
  const response = await get(path, before === undefined ? {} : { "if-none-match": before.etag })
  if (response.status === 304) return before!.value as A
  const value = await response.json() as A
  known.set(path, { etag: response.headers.get("etag") ?? "", value })
  return value
}

const restarted = "The server was restarted: what happened meanwhile is not known here"

const noHistory: History = { times: [], published: {}, dropped: [] }

export class Live {
  state: State = {
    status: "connecting",
    bus: undefined,
    subscriptions: [],
    history: noHistory,
    entries: [],
    hosts: [],
    alerts: [],
    maintenance: [],
    isFleetRead: false,
    isFleetUnread: false,
    outboxes: [],
    letters: new Map()
  }
  private readonly known = new Map<string, Known>()
  private readonly listeners = new Set<() => void>()
  private readonly watched = new Map<string, Watched>()
  private source: EventSource | undefined
  /** The bus had shut down before its events were asked for, and they have ended: all are here. */
  private isComplete = false
  private lastEventId = ""
  private nextKey = 0
  private failures = 0
  /** The number of the last question. An answer to an earlier one is out of date. */
  private question = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private shown: View["name"] = "fleet"
  private busReadAt = Number.NEGATIVE_INFINITY
  private fleetReadAt = 0
  private fleetIsStale = true
  private isReadingFleet = false
  private isReadingOutboxes = false
  /** Changes when somebody signs out: what was asked for before is nobody's business then. */
  private session = 0
  private outboxesReadAt = Number.NEGATIVE_INFINITY
  /** When each list of dead letters was read, as the server has it. */
  private readonly lettersReadAt = new Map<string, string>()
  private incoming: Array<Entry> = []
  private enteredAt = Number.NEGATIVE_INFINITY

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  start(): void {
    void this.poll()
    // A machine that wakes, or a network that comes back, is not kept waiting.
    const now = () => {
      if (this.state.status === "connecting" || this.state.status === "reconnecting") this.schedule(0)
    }
    addEventListener("online", now)
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) return now()
      this.disconnect()
      if (this.state.status === "live") this.set({ status: "connecting" })
    })
  }

  /** What is looked at is kept up to date; of the rest, what is needed to know that the server is there. */
  show(view: View["name"]): void {
    if (view === this.shown) return
    this.shown = view
    if (view !== "bus" || this.state.status === "unauthorized") return
    this.busReadAt = Number.NEGATIVE_INFINITY
    this.outboxesReadAt = Number.NEGATIVE_INFINITY
    this.schedule(0)
  }

  /** Trades the token for a cookie. Answers what was wrong, if anything was. */
  async login(token: string): Promise<string | undefined> {
    const answer = await post("api/session", { token })
    if (answer === undefined) return "The server does not answer. Try again."
    if (answer.ok) {
      this.set({ status: "connecting" })
      this.schedule(0)
      return undefined
    }
    if (answer.status === 401) return "This token is wrong."
    return `The server refused this login (${answer.status}${await reasonOf(answer)}).`
  }

  async logout(): Promise<void> {
    // Only the server can drop the cookie. Where it does not answer, nobody is signed out, and the page says so already.
    const answer = await fetch("api/session", { method: "DELETE" }).catch(() => undefined)
    if (answer?.ok === true) this.leave()
  }

  /** The past of a host: the very same one as the last time, if nothing has changed, and none where none is kept. */
  async past(hostId: string): Promise<HostPast | undefined> {
    try {
      return await getChanged<HostPast>(`api/fleet/hosts/${encodeURIComponent(hostId)}/past`, this.known)
    } catch (error) {
      if (error instanceof NotFound) return undefined
      throw error
    }
  }

  scores(hostId: string): Promise<ReadonlyArray<Score>> {
    return getJson(`api/fleet/hosts/${encodeURIComponent(hostId)}/scores`)
  }

  /** Requeues or discards a dead letter, or all of a consumer that were there when they were read. Says what came of it. */
  async change(
    what: Change,
    outbox: string,
    consumer: string,
    letter: DeadLetter | undefined
  ): Promise<{ readonly isGood: boolean; readonly text: string }> {
    const choice: typeof DeadLetterChoice.Encoded = {
      outbox,
      consumer,
      ...(letter === undefined ? {} : { letter: { kind: letter.kind, id: letter.id } }),
      diedUntil: this.lettersReadAt.get(outbox)!
    }
    const answer = await post(`api/dead-letters/${what}`, choice)
    const done = what === "requeue" ? "requeued" : "discarded"
    if (answer === undefined) {
      return { isGood: false, text: `The server does not answer: nothing is known to be ${done}.` }
    }
    if (!answer.ok) {
      if (answer.status === 401) this.leave()
      return { isGood: false, text: `Not ${done} (${answer.status}${await reasonOf(answer)}).` }
    }
    const { count } = await answer.json() as typeof Changed.Encoded
    this.outboxesReadAt = Number.NEGATIVE_INFINITY
    this.schedule(0)
    return count === 0
      ? { isGood: false, text: `Nothing was ${done}: somebody else was there before.` }
      : { isGood: true, text: `${count} of ${consumer} ${done}.` }
  }

  alertHistory(id: string): Promise<ReadonlyArray<AlertTransition>> {
    return getJson(`api/fleet/alerts/${encodeURIComponent(id)}/history`)
  }

  /** Changes alerts. Says what came of it, and how many are changed. */
  async changeAlerts(
    ids: ReadonlyArray<string>,
    change: AlertsToBe,
    onChanged: (count: number) => void
  ): Promise<AlertsOutcome> {
    const outcome = await changeAlerts(ids, change, onChanged)
    if (outcome.isUnauthorized) this.leave()
    else if (outcome.changed > 0) {
      this.fleetIsStale = true
      this.fleetReadAt = 0
      this.schedule(0)
    }
    return outcome
  }

  private set(change: Partial<State>): void {
    this.state = { ...this.state, ...change }
    for (const listener of this.listeners) listener()
  }

  private schedule(delay: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.poll(), delay)
  }

  /** Forgets everything: who signs in next may be somebody else. */
  private leave(): void {
    clearTimeout(this.timer)
    this.question++
    this.session++
    this.disconnect()
    this.lastEventId = ""
    this.isComplete = false
    this.incoming = []
    this.watched.clear()
    this.known.clear()
    this.fleetIsStale = true
    this.fleetReadAt = 0
    this.busReadAt = Number.NEGATIVE_INFINITY
    this.outboxesReadAt = Number.NEGATIVE_INFINITY
    this.set({
      status: "unauthorized",
      bus: undefined,
      subscriptions: [],
      entries: [],
      hosts: [],
      alerts: [],
      maintenance: [],
      isFleetRead: false,
      isFleetUnread: false,
      outboxes: [],
      letters: new Map(),
      history: noHistory
    })
  }

  private async poll(): Promise<void> {
    clearTimeout(this.timer)
    const question = ++this.question
    const now = Date.now()
    try {
      if (this.state.status !== "live" || now - this.busReadAt >= busEvery[this.shown]) {
        this.busReadAt = now
        await this.readBus(question)
        if (question !== this.question) return
      }
      const { bus } = this.state
      // What is slow to be read, or cannot be read, holds up nothing else.
      if (bus?.hasFleet === true) void this.readFleet()
      if (bus?.hasOutboxes === true) void this.readOutboxes()
      this.failures = 0
      if (this.source === undefined && !this.isComplete && !document.hidden) this.connect()
      this.schedule(pollEvery)
    } catch (error) {
      this.fleetIsStale = true
      if (question !== this.question) return
      if (error instanceof Unauthorized) return this.leave()
      this.disconnect()
      this.isComplete = false
      this.set({ status: this.state.bus === undefined ? "connecting" : "reconnecting" })
      this.schedule(Math.min(pollEvery * 2 ** this.failures++, slowestRetry))
    }
  }

  private async readBus(question: number): Promise<void> {
    const isShown = this.shown === "bus"
    const [bus, subscriptions] = await Promise.all([
      getJson<BusState>("api/bus"),
      isShown ? getJson<ReadonlyArray<SubscriptionState>>("api/subscriptions") : undefined
    ])
    if (question !== this.question) return
    const prior = this.state.bus
    const restarted = prior !== undefined && prior.start !== bus.start
    if (restarted) {
      this.watched.clear()
      this.disconnect()
      this.isComplete = false
    }
    this.set({
      status: bus.isShutdown
        ? "shutdown"
        : this.source?.readyState === EventSource.OPEN
        ? "live"
        : "connecting",
      // The kinds of a bus never change, and what shows them is not to be drawn anew.
      bus: prior?.kinds.join() === bus.kinds.join() ? { ...bus, kinds: prior.kinds } : bus,
      subscriptions: subscriptions === undefined ? this.state.subscriptions : this.judge(subscriptions),
      history: restarted ? noHistory : this.sample(prior, bus)
    })
  }

  private async readFleet(): Promise<void> {
    const age = Date.now() - this.fleetReadAt
    if (this.isReadingFleet || age < (this.fleetIsStale ? fleetAtMostEvery : fleetEvery)) return
    this.isReadingFleet = true
    this.fleetIsStale = false
    this.fleetReadAt = Date.now()
    const { session } = this
    try {
      const [hosts, alerts, maintenance] = await Promise.all([
        getChanged<ReadonlyArray<HostState>>("api/fleet/hosts", this.known),
        getChanged<ReadonlyArray<OpenAlert>>("api/fleet/alerts", this.known),
        getChanged<ReadonlyArray<Maintenance>>("api/fleet/maintenance", this.known)
      ])
      if (session !== this.session) return
      const { state } = this
      const isChanged = state.hosts !== hosts || state.alerts !== alerts || state.maintenance !== maintenance
      if (isChanged || !state.isFleetRead || state.isFleetUnread) {
        this.set({ hosts, alerts, maintenance, isFleetRead: true, isFleetUnread: false })
      }
    } catch (error) {
      this.fleetIsStale = true
      if (session !== this.session) return
      if (error instanceof Unauthorized) return this.leave()
      // Whether the server is there is for others to find out. What it knows of the bus is shown all the same.
      this.set({ isFleetUnread: true })
    } finally {
      this.isReadingFleet = false
    }
  }

  private async readOutboxes(): Promise<void> {
    const now = Date.now()
    if (this.isReadingOutboxes || now - this.outboxesReadAt < outboxesEvery[this.shown]) return
    this.isReadingOutboxes = true
    this.outboxesReadAt = now
    const { session } = this
    try {
      const outboxes = await getJson<ReadonlyArray<Outbox>>("api/outboxes")
      const letters = new Map<string, ReadonlyArray<DeadLetter>>()
      await Promise.all(outboxes.map(async ({ consumers, name, problem }) => {
        if (this.shown !== "bus" || problem !== null || !consumers.some(({ dead }) => dead > 0)) return
        try {
          const list = await getJson<typeof DeadLetters.Encoded>(`api/dead-letters?outbox=${encodeURIComponent(name)}`)
          letters.set(name, list.letters)
          this.lettersReadAt.set(name, list.at)
        } catch (error) {
          // The database went away in between. The next answer says so, and these are as true as before.
          if (error instanceof Unauthorized) throw error
          letters.set(name, this.state.letters.get(name) ?? [])
        }
      }))
      if (session === this.session) this.set({ outboxes, letters })
    } catch (error) {
      if (session !== this.session) return
      if (error instanceof Unauthorized) return this.leave()
      this.outboxesReadAt = Number.NEGATIVE_INFINITY
    } finally {
      this.isReadingOutboxes = false
    }
  }

  private sample(prior: BusState | undefined, bus: BusState): History {
    const { history } = this.state
    const seconds = prior === undefined ? 0 : (Date.parse(bus.at) - Date.parse(prior.at)) / 1000
    if (prior === undefined || seconds <= 0) return history
    const append = (series: ReadonlyArray<number> | undefined, value: number) =>
      [...(series ?? []), Math.max(0, value / seconds)].slice(-historyLength)
    const published: Record<string, ReadonlyArray<number>> = {}
    for (const kind of bus.kinds) {
      const change = (bus.publishedByKind[kind] ?? 0) - (prior.publishedByKind[kind] ?? 0)
      published[kind] = append(history.published[kind], change)
    }
    return {
      times: [...history.times, Date.parse(bus.at) / 1000].slice(-historyLength),
      published,
      dropped: append(history.dropped, bus.dropped - prior.dropped)
    }
  }

  /** Those in trouble first. */
  private judge(subscriptions: ReadonlyArray<SubscriptionState>): ReadonlyArray<Subscription> {
    const now = Date.now()
    const seen = new Map<string, number>()
    const judged = subscriptions.map((subscription): Subscription => {
      const { dropped, name, pending, running, taken } = subscription
      const nth = (seen.get(name) ?? 0) + 1
      seen.set(name, nth)
      const key = `${name}/${nth}`
      let watched = this.watched.get(key)
      if (watched === undefined || taken < watched.taken || dropped < watched.dropped) {
        this.watched.set(key, watched = { taken, takenAt: now, dropped, droppedAt: Number.NEGATIVE_INFINITY })
      }
      if (taken > watched.taken || pending + running === 0) Object.assign(watched, { taken, takenAt: now })
      if (dropped > watched.dropped) Object.assign(watched, { dropped, droppedAt: now })
      const trouble: Trouble | undefined = now - watched.droppedAt < lossMatters
        ? "losing events"
        : now - watched.takenAt >= standstillMatters
        ? "stuck"
        : pending >= subscription.bufferSize / 2 && pending > 1
        ? "filling up"
        : undefined
      return { ...subscription, key, trouble }
    })
    return judged.toSorted((a, b) => Number(b.trouble !== undefined) - Number(a.trouble !== undefined))
  }

  private connect(): void {
    const query = this.lastEventId === "" ? "" : `?lastEventId=${encodeURIComponent(this.lastEventId)}`
    // Who has seen no event when it comes back has still missed what happened since.
    this.lastEventId ||= `${this.state.bus!.start}-0`
    const source = new EventSource(`api/events${query}`)
    this.source = source
    const { isShutdown } = this.state.bus!
    source.addEventListener("open", () => this.set({ status: isShutdown ? "shutdown" : "live" }))
    source.addEventListener("bus-event", (message: MessageEvent<string>) => {
      this.lastEventId = message.lastEventId
      this.fleetIsStale = true
      const { _tag, occurredAt } = JSON.parse(message.data) as { readonly _tag: string; readonly occurredAt: string }
      this.enter({ key: this.nextKey++, kind: _tag, at: occurredAt, json: message.data })
    })
    source.addEventListener("gap", (message: MessageEvent<string>) => {
      this.lastEventId = message.lastEventId
      const { missed } = JSON.parse(message.data) as typeof Gap.Encoded
      this.notice(
        missed === null
          ? restarted
          : `${missed} events happened while this page was away and are no longer kept`
      )
    })
    source.addEventListener("lost", (message: MessageEvent<string>) => {
      const { missed } = JSON.parse(message.data) as typeof Lost.Encoded
      this.notice(`${missed} events came too fast and are not shown`)
    })
    // Whether the server is there, or the bus has shut down, and when to connect again, is decided by the next answer to `poll`.
    source.addEventListener("error", () => {
      this.disconnect()
      this.isComplete = isShutdown
      if (!isShutdown) this.set({ status: "connecting" })
    })
  }

  private disconnect(): void {
    this.source?.close()
    this.source = undefined
  }

  private notice(notice: string): void {
    this.enter({ key: this.nextKey++, notice })
  }

  /** A thousand events that come at once are one change of the page. */
  private enter(entry: Entry): void {
    this.incoming.push(entry)
    if (this.incoming.length > 1) return
    setTimeout(() => {
      if (this.incoming.length === 0) return
      this.enteredAt = Date.now()
      const incoming = this.incoming.toReversed()
      this.incoming = []
      // A server that was restarted tells again what it has stored.
      const told = new Set(incoming.some(({ notice }) => notice === restarted) ? incoming.map(({ json }) => json) : [])
      const before = told.size === 0
        ? this.state.entries
        : this.state.entries.filter(({ json }) => json === undefined || !told.has(json))
      this.set({ entries: [...incoming, ...before].slice(0, entriesLength) })
    }, Math.max(firstGathered, this.enteredAt + gathered - Date.now()))
  }
}
