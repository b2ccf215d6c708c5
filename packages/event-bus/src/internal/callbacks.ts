/**
 * A bus for code outside Effect.
 */
import { Effect, Exit, Fiber, Predicate, Scope } from "effect"
import type { AnyEvent, BufferOptions, Callbacks, EventBus, Events } from "../EventBus.ts"
import type { Subscription } from "../Subscription.ts"
import { withAsyncScheduler } from "./scheduler.ts"

type Callback = (event: any) => void | PromiseLike<void>

const ended = { done: true, value: undefined } as const

export const toCallbacks = <Event extends AnyEvent>(bus: EventBus<Event>): Effect.Effect<Callbacks<Event>> =>
  Effect.contextWith((callers) => {
    const context = withAsyncScheduler(callers)
    const runSync = Effect.runSyncWith(context)
    const runPromise = Effect.runPromiseWith(context)

    const subscribe = (
      kinds: Event["_tag"] | ReadonlyArray<Event["_tag"]>,
      callback: Callback,
      options?: BufferOptions & { readonly concurrency?: number | undefined }
    ): () => void => {
      const scope = Scope.makeUnsafe()
      runSync(Scope.provide(bus.on(kinds, (event) => call(callback, event), options), scope))
      return () => {
        // As the fiber that calls: a callback that unsubscribes itself is not interrupted.
        const caller = Fiber.getCurrent()?.context
        Effect.runForkWith(caller === undefined ? context : withAsyncScheduler(caller))(Scope.close(scope, Exit.void))
      }
    }

    const events = (
      kinds: Event["_tag"] | ReadonlyArray<Event["_tag"]>,
      options?: BufferOptions
    ): Events<any> => {
      const scope = Scope.makeUnsafe()
      const subscription: Subscription<Event> = runSync(
        Scope.provide(bus.subscribe({ ...options, kinds: typeof kinds === "string" ? [kinds] : kinds }), scope)
      )
      const next = Effect.match(subscription.take, {
        onFailure: () => ended,
        onSuccess: (value) => ({ done: false, value } as const)
      })
      const close = Effect.as(Scope.close(scope, Exit.void), ended)
      const iterator: Events<Event> = {
        next: () => runPromise(next),
        return: () => runPromise(close),
        [Symbol.asyncIterator]: () => iterator as AsyncIterator<Event>,
        [Symbol.asyncDispose]: () => runPromise(Effect.asVoid(close))
      }
      return iterator
    }

    return Effect.succeed({ publish: bus.publishUnsafe, subscribe, events })
  })

const call = (callback: Callback, event: AnyEvent): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const answer = callback(event)
    return Predicate.isPromiseLike(answer)
      ? Effect.tryPromise({ try: () => answer, catch: (error) => error })
      : Effect.void
  })
