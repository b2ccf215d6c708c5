/**
 * What lies on the heap. No benchmark library asks this.
 */
import { setImmediate } from "node:timers/promises"
import { queryObjects } from "node:v8"
import { PingEvent } from "./events.ts"

/** Removes all garbage; what stays has its place on the heap. */
export const collectGarbage = async (): Promise<void> => {
  if (globalThis.gc === undefined) throw new Error("The bench runs under node --expose-gc")
  // What was scheduled may hold garbage; weak references are cleared in the turn after a collection.
  for (let i = 0; i < 2; i++) {
    await setImmediate()
    globalThis.gc()
  }
}

/** Bytes in use once all garbage is gone. */
export const heapUsed = async (): Promise<number> => {
  await collectGarbage()
  return process.memoryUsage().heapUsed
}

/** Events that something still refers to. */
export const liveEvents = (): number => queryObjects(PingEvent) as number
