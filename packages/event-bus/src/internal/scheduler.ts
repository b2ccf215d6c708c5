import { Context, Scheduler } from "effect"

const fallback = new Scheduler.MixedScheduler()

/**
 * The context with a scheduler that outlives the caller: the one of `Effect.runSync` runs tasks only while it runs, and
 * what is woken through it later would wait for ever.
 */
export const withAsyncScheduler = <R>(context: Context.Context<R>): Context.Context<R> =>
  Context.get(context, Scheduler.Scheduler).executionMode === "sync"
    ? Context.add(context, Scheduler.Scheduler, fallback)
    : context
