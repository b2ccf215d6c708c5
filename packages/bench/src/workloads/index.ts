import type { Workload } from "../measurements.ts"
import { batches } from "./batches.ts"
import { bundle } from "./bundle.ts"
import { durable } from "./durable.ts"
import { floor } from "./floor.ts"
import { growth } from "./growth.ts"
import { handlers } from "./handlers.ts"
import { idleHeap } from "./idleHeap.ts"
import { keyed } from "./keyed.ts"
import { latency } from "./latency.ts"
import { manyKinds } from "./manyKinds.ts"
import { nats } from "./nats.ts"
import { noSubscriber } from "./noSubscriber.ts"
import { publish } from "./publish.ts"
import { publishStuck } from "./publishStuck.ts"
import { spans } from "./spans.ts"
import { stuckHeap } from "./stuckHeap.ts"

/** In the order of the report. */
export const workloads: ReadonlyArray<Workload> = [
  publish,
  publishStuck,
  batches,
  handlers,
  latency,
  noSubscriber,
  manyKinds,
  idleHeap,
  stuckHeap,
  spans,
  growth,
  floor,
  keyed,
  bundle,
  nats,
  durable
]
