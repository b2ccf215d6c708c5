/**
 * Stores in groups: what is to be stored while a transaction runs is stored together in the next one. Nothing waits for
 * more to come.
 */
import type { Array } from "effect"
import { Cause, Deferred, Effect, type Scope, type Semaphore } from "effect"

/** Others want to write as well. */
const largestGroup = 100

interface Group<A, E> {
  readonly items: Array.NonEmptyArray<A>
  readonly stored: Deferred.Deferred<void, E>
}

/**
 * Makes of an effect that stores several in one transaction one that stores one of them. If the transaction of a group
 * fails, each of the group is stored in a transaction of its own. So one that cannot be stored keeps no other from it.
 *
 * An interruption ends the wait, and nothing else: what others of its group have to store is in the same transaction. It is
 * the end of `scope` that ends the transaction.
 */
export const inGroups = <A, E>(
  scope: Scope.Scope,
  turn: Semaphore.Semaphore,
  storeAll: (items: Array.NonEmptyReadonlyArray<A>) => Effect.Effect<void, E>
): (item: A) => Effect.Effect<void, E> => {
  let gathering: Group<A, E> | undefined

  const storeGroup = (group: Group<A, E>) => {
    const storing = Effect.suspend(() => {
      if (gathering === group) gathering = undefined
      return storeAll(group.items)
    })
    // The yield lets those come along that have something to store right now.
    const inTurn = turn.withPermit(Effect.andThen(Effect.yieldNow, storing))
    return Effect.forkIn(Deferred.into(inTurn, group.stored), scope, { startImmediately: true })
  }

  /** Joins the group that gathers, or begins one and stores it when it is its turn. */
  const store = (item: A) =>
    Effect.suspend(() => {
      const joined = gathering
      if (joined !== undefined && joined.items.length < largestGroup) {
        joined.items.push(item)
        return Effect.succeed(joined)
      }
      const group: Group<A, E> = { items: [item], stored: Deferred.makeUnsafe() }
      gathering = group
      return Effect.as(storeGroup(group), group)
    })

  return (item) =>
    Effect.flatMap(store(item), ({ items, stored }) =>
      Effect.catchCause(
        Deferred.await(stored),
        (cause) => items.length === 1 || Cause.hasInterrupts(cause) ? Effect.failCause(cause) : storeAll([item])
      ))
}
