import { Context, Scheduler } from "effect"

/** Runs tasks in turns of the scheduler. One that throws ends its turn; those after it have the next. */
export const makeSchedule = (dispatcher: Scheduler.SchedulerDispatcher): (task: () => void) => void => {
  let tasks: Array<() => void> = []
  const run = (): void => {
    const batch = tasks
    tasks = []
    let next = 0
    try {
      while (next < batch.length) batch[next++]!()
    } finally {
      if (next < batch.length) {
        tasks = [...batch.slice(next), ...tasks]
        dispatcher.scheduleTask(run, 0)
      }
    }
  }
  return (task) => {
    if (tasks.push(task) === 1) dispatcher.scheduleTask(run, 0)
  }
}

const fallback = new Scheduler.MixedScheduler()

/**
 * The context with a scheduler that takes turns with the rest of the process. That of `Effect.runSync` has microtasks: handlers
 * that publish for one another would let nothing else run.
 */
export const withAsyncScheduler = <R>(
  context: Context.Context<R>,
  scheduler: Scheduler.Scheduler = fallback
): Context.Context<R> =>
  Context.get(context, Scheduler.Scheduler).executionMode === "sync"
    ? Context.add(context, Scheduler.Scheduler, scheduler)
    : context
