/**
 * The stream and the durable consumer of a bridge: made when they are missing, checked when they are there.
 */
import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  ReplayPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo
} from "@nats-io/jetstream"
import { nanos } from "@nats-io/transport-node"
import { Duration } from "effect"
import { NatsBridgeError } from "../NatsBridgeError.ts"
import type { Settings } from "./settings.ts"

const unlessMissing = async <A>(code: number, find: () => Promise<A>): Promise<A | undefined> => {
  try {
    return await find()
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === code) return undefined
    throw error
  }
}

const inNanos = (duration: Duration.Input): number => nanos(Duration.toMillis(Duration.fromInputUnsafe(duration)))

/** What the options ask of the stream, by the names that the server has for it. */
const wanted = ({ stream }: Settings): Partial<StreamConfig> => ({
  ...(stream.storage !== undefined && { storage: stream.storage === "file" ? StorageType.File : StorageType.Memory }),
  ...(stream.replicas !== undefined && { num_replicas: stream.replicas }),
  ...(stream.maxAge !== undefined && { max_age: inNanos(stream.maxAge) }),
  ...(stream.maxBytes !== undefined && { max_bytes: stream.maxBytes }),
  ...(stream.maxMessages !== undefined && { max_msgs: stream.maxMessages }),
  ...(stream.discard !== undefined && { discard: stream.discard === "old" ? DiscardPolicy.Old : DiscardPolicy.New }),
  ...(stream.duplicateWindow !== undefined && { duplicate_window: inNanos(stream.duplicateWindow) })
})

const show = (key: string, value: unknown): string =>
  key === "max_age" || key === "duplicate_window" ? `${Number(value) / 1e9} s` : JSON.stringify(value)

export const ensureStream = async (manager: JetStreamManager, settings: Settings): Promise<void> => {
  const { streamName, subject } = settings
  const find = (): Promise<StreamInfo | undefined> =>
    unlessMissing(JetStreamApiCodes.StreamNotFound, () => manager.streams.info(streamName))
  let found = await find()
  if (found === undefined) {
    try {
      await manager.streams.add({ name: streamName, subjects: [`${subject}.*`], ...wanted(settings) })
      return
    } catch (error) {
      // Another process may have made it meanwhile; then that one is checked.
      found = await find()
      if (found === undefined) throw error
    }
  }
  const { config } = found
  const differences: Array<string> = []
  if (!config.subjects.includes(`${subject}.*`) && !config.subjects.includes(`${subject}.>`)) {
    differences.push(`its subjects are ${JSON.stringify(config.subjects)}, without "${subject}.*"`)
  }
  for (const [key, value] of Object.entries(wanted(settings))) {
    const actual = config[key as keyof StreamConfig]
    if (actual !== value) differences.push(`its ${key} is ${show(key, actual)}, not ${show(key, value)}`)
  }
  if (config.no_ack) differences.push("its no_ack is true, so it does not say what it has stored")
  if (differences.length > 0) {
    throw new NatsBridgeError({
      reason: "mismatch",
      message: `the stream "${streamName}" is not as the options say: ${differences.join("; ")}. ` +
        `Change the options or the stream (nats stream edit ${streamName}), or name another stream`
    })
  }
}

export const ensureConsumer = async (manager: JetStreamManager, settings: Settings): Promise<ConsumerInfo> => {
  const { durable, streamName } = settings
  // Of what one process skips, the others of its queue get nothing: what they import is written down, and compared.
  const description = `imports ${settings.import.toSorted().join(", ")}`
  const config: Partial<ConsumerConfig> = {
    durable_name: durable,
    description,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(settings.ackWaitMillis),
    deliver_policy: settings.deliver === "all" ? DeliverPolicy.All : DeliverPolicy.New,
    replay_policy: ReplayPolicy.Instant,
    // Not by kind: a server before 2.10 filters by one subject only, and one that is changed later stops delivering (2.9.10).
    // What else comes is acknowledged and ignored.
    filter_subject: `${settings.subject}.*`,
    // Each bridge bounds what it holds by what it asks for; one that is stuck must not stop the others of its queue.
    max_ack_pending: -1
  }
  const find = (): Promise<ConsumerInfo | undefined> =>
    unlessMissing(JetStreamApiCodes.ConsumerNotFound, () => manager.consumers.info(streamName, durable))
  let found = await find()
  if (found === undefined) {
    try {
      return await manager.consumers.add(streamName, config)
    } catch (error) {
      found = await find()
      if (found === undefined) throw error
    }
  }
  const differences: Array<string> = []
  for (const key of ["filter_subject", "ack_policy"] as const) {
    const actual = found.config[key]
    // A consumer of any subject has no filter.
    if (actual !== config[key]) {
      differences.push(`its ${key} is ${show(key, actual ?? "")}, not ${show(key, config[key])}`)
    }
  }
  // Each of these would keep events from the bus, or from coming again, and nothing would say so.
  for (
    const key of ["deliver_subject", "headers_only", "max_deliver", "max_batch", "max_bytes", "max_expires"] as const
  ) {
    const actual = found.config[key] ?? 0
    if (actual !== 0 && actual !== -1 && actual !== false && actual !== "") {
      differences.push(`it has a ${key}: ${show(key, actual)}`)
    }
  }
  if (differences.length > 0) {
    throw new NatsBridgeError({
      reason: "mismatch",
      message: `the consumer "${durable}" of the stream "${streamName}" is there already, but for something else: ` +
        `${differences.join("; ")}. Name another ${
          settings.queue === undefined ? "source" : "queue"
        }, or another stream`
    })
  }
  if (found.config.description === description && found.config.ack_wait === config.ack_wait) return found
  if (settings.queue !== undefined && found.config.description !== description) {
    throw new NatsBridgeError({
      reason: "mismatch",
      message: `the queue "${settings.queue}" ${found.config.description}, but this process ${description}. ` +
        "All processes of a queue must import the same kinds; name another queue for other kinds"
    })
  }
  return await manager.consumers.update(streamName, durable, {
    description,
    ack_wait: config.ack_wait!
  })
}
