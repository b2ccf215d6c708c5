/**
 * A bus for code outside Effect.
 */
import { Cause, Context, Effect, Exit, Fiber, Latch, Predicate, Scheduler, Scope } from "effect"
import type {
  AnyEvent,
  CallbackOptions,
  Callbacks,
  EventBus,
  Events,
  HandlerOptions,
  MatchOptions
} from "../EventBus.ts"
import type { Subscription } from "../Subscription.ts"
import { arrayOf } from "./face.ts"
import { withAsyncScheduler } from "./scheduler.ts"

type Callback = (event: any) => void | PromiseLike<void>

const ended = { done: true, value: undefined } as const

export const toCallbacks = <Event extends AnyEvent>(bus: EventBus<Event>): Effect.Effect<Callbacks<Event>> =>
  Effect.contextWith((makers) => {
    const context = withAsyncScheduler(makers)
    const runSync = Effect.runSyncWith(context)
    const runPromise = Effect.runPromiseWith(context)
    /** As the fiber that calls, where there is one: a callback that ends its own subscription is not interrupted. */
    const callersContext = () => {
      const caller = Fiber.getCurrent()?.context
      return caller === undefined ? context : withAsyncScheduler(caller)
    }
    /** What was made and has not ended is in it. */
    let scope = Scope.makeUnsafe("parallel")
    /** What waits for the next event waits for this one too. */
    let closed = Latch.makeUnsafe()
    const make = <A>(effect: Effect.Effect<A, never, Scope.Scope>, owner = scope): A =>
      runSync(Scope.provide(effect, owner))

    const subscribe = (
      kinds: any,
      callback: Callback,
      { onFailure, signal, ...options }: CallbackOptions<any> = {}
    ): () => void => {
      if (signal?.aborted === true) return () => {}
      const handled = bus.on<any, unknown>(
        kinds,
        (event) => call(() => callback(event)),
        {
          ...options,
          ...(onFailure !== undefined && {
            onFailure: (event: any, cause: Cause.Cause<unknown>) =>
              Effect.orDie(call(() => onFailure(event, Cause.squash(cause))))
          })
        } as HandlerOptions<any, unknown, never> as never
      )
      // Of its own, so that the listener goes when the subscription has ended. While it drains, the signal still ends it.
      const own = Scope.forkUnsafe(scope)
      const end = Scope.close(own, Exit.void)
      const unsubscribe = (): void => {
        // At once: a fiber that gave way first would let the next event in.
        Effect.runForkWith(Context.add(callersContext(), Scheduler.PreventSchedulerYield, true))(
          Effect.andThen(handle.unsubscribe, end)
        )
      }
      runSync(Scope.addFinalizer(own, Effect.sync(() => signal?.removeEventListener("abort", unsubscribe))))
      const handle = make(Effect.onError(handled, () => end), own)
      // The bus is shut down: nothing is left that could be ended.
      if (runSync(handle.snapshot).state === "closed") unsubscribe()
      else signal?.addEventListener("abort", unsubscribe)
      return unsubscribe
    }

    const events = (kinds: any, options?: MatchOptions<any>): Events<any> => {
      const subscription = make<Subscription<any>>(
        bus.subscribe({ ...options, kinds: arrayOf(kinds) } as never)
      )
      const next = Effect.match(subscription.take, {
        onFailure: () => ended,
        onSuccess: (value) => ({ done: false, value } as const)
      })
      const close = Effect.as(subscription.unsubscribe, ended)
      const iterator: Events<Event> = {
        next: () => runPromise(next),
        return: () => runPromise(close),
        [Symbol.asyncIterator]: () => iterator as AsyncIterator<Event>,
        [Symbol.asyncDispose]: () => runPromise(Effect.asVoid(close))
      }
      return iterator
    }

    const next = (
      kinds: any,
      { signal, ...options }: Pick<MatchOptions<any>, "name" | "where"> & {
        readonly signal?: AbortSignal | undefined
      } = {}
    ): Promise<any> =>
      runPromise(
        Effect.raceFirst(Effect.catch(bus.awaitNext(kinds, options as never), () => Effect.void), closed.await),
        { signal }
      ).catch((error) => {
        throw signal?.aborted === true ? signal.reason : error
      })

    const close = (): Promise<void> => {
      const closing = scope
      scope = Scope.makeUnsafe("parallel")
      closed.openUnsafe()
      closed = Latch.makeUnsafe()
      return Effect.runPromiseWith(callersContext())(Scope.close(closing, Exit.void))
    }

    return Effect.succeed({
      publish: bus.publishUnsafe,
      subscribe,
      events,
      next,
      idle: () => Effect.runPromiseWith(callersContext())(bus.awaitIdle),
      close
    } as Callbacks<Event>)
  })

/** What a callback throws is a failure that may be tried again, just as what its promise is rejected with. */
const call = (callback: () => void | PromiseLike<void>): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    try {
      const returned = callback()
      return Predicate.isPromiseLike(returned)
        ? Effect.tryPromise({ try: () => returned, catch: (error) => error })
        : Effect.void
    } catch (error) {
      return Effect.fail(error)
    }
  })
