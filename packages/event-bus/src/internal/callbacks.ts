/**
 * A bus for code outside Effect.
 */
import { Cause, Effect, Exit, Fiber, Predicate, Scope } from "effect"
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
    /** What was made and has not been ended. */
    const open = new Set<Scope.Closeable>()
    const make = <A>(effect: Effect.Effect<A, never, Scope.Scope>) => {
      const scope = Scope.makeUnsafe()
      const made = runSync(Scope.provide(effect, scope))
      open.add(scope)
      return { made, scope }
    }

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
      const { made: handle, scope } = make(handled)
      const unsubscribe = (): void => {
        open.delete(scope)
        signal?.removeEventListener("abort", unsubscribe)
        Effect.runForkWith(callersContext())(handle.unsubscribe)
      }
      signal?.addEventListener("abort", unsubscribe)
      return unsubscribe
    }

    const events = (kinds: any, options?: MatchOptions<any>): Events<any> => {
      const { made: subscription, scope } = make<Subscription<any>>(
        bus.subscribe({ ...options, kinds: typeof kinds === "string" ? [kinds] : kinds } as never)
      )
      const next = Effect.match(subscription.take, {
        onFailure: () => {
          open.delete(scope)
          return ended
        },
        onSuccess: (value) => ({ done: false, value } as const)
      })
      const close = Effect.as(
        Effect.andThen(Effect.sync(() => open.delete(scope)), Scope.close(scope, Exit.void)),
        ended
      )
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
        Effect.catch(bus.awaitNext(kinds, options as never), () => Effect.undefined),
        signal === undefined ? {} : { signal }
      ).catch((error) => {
        throw signal?.aborted === true ? signal.reason : error
      })

    const close = (): Promise<void> => {
      const scopes = Array.from(open)
      open.clear()
      return Effect.runPromiseWith(callersContext())(
        Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { concurrency: "unbounded", discard: true })
      )
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
