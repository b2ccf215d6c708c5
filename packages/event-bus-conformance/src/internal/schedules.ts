/**
 * All schedules of a program, or some of them: those without a preemption first, then those with one, then those with two.
 */
import type { Chooser, Outcome } from "./run.ts"
import { seeded } from "./seeded.ts"

/** The choices of a run that were not the first, by their places. */
export type Choices = Readonly<Record<number, number>>

/** Takes the choices given and, everywhere else, the first. */
class Scripted implements Chooser {
  readonly choices: Choices
  private readonly left: Set<number>

  constructor(choices: Choices) {
    this.choices = choices
    this.left = new Set(Object.keys(choices).map(Number))
  }

  next(place: number, _free: number, _all: number): number {
    return this.take(place)
  }

  preempts(place: number, _isAlone: boolean): boolean {
    return this.take(place) > 0
  }

  fiberChanged(): void {}

  taskEnded(): void {}

  /** The places that the run did not come to. */
  get missed(): ReadonlyArray<number> {
    return Array.from(this.left)
  }

  protected take(place: number): number {
    this.left.delete(place)
    return this.choices[place] ?? 0
  }
}

/** A schedule to be run, and from which place on it has alternatives that nobody else runs. */
interface Branch {
  readonly choices: Choices
  readonly from: number
}

/** Takes the choices of a branch, and remembers those that could have been made after them. */
class Branching extends Scripted {
  /** With as many preemptions. */
  readonly same: Array<Branch> = []
  /** With one more. */
  readonly more: Array<Branch> = []
  /** How often a fiber could have been preempted. */
  preemptible = 0
  private readonly from: number
  private readonly level: number
  private readonly hasMore: boolean
  /**
   * Places where no other task was ready. What woke the fiber may go on to others nevertheless, in the same task, or its
   * caller may: it was not alone then.
   */
  private alone: Array<number> = []
  private isFirstTask = true

  /** `level`: how many preemptions the branch has. */
  constructor(branch: Branch, level: number, hasMore: boolean) {
    super(branch.choices)
    this.from = branch.from
    this.level = level
    this.hasMore = hasMore
  }

  override next(place: number, free: number, all: number): number {
    if (place >= this.from) {
      for (let other = 1; other < free; other++) this.same.push(this.branch(place, other))
      if (all > free && this.hasMore) this.more.push(this.branch(place, free))
    }
    return this.take(place)
  }

  override preempts(place: number, isAlone: boolean): boolean {
    if (!isAlone) this.preemptible++
    if (place >= this.from && this.hasMore) {
      if (isAlone) this.alone.push(place)
      else this.more.push(this.branch(place, 1))
    }
    return this.take(place) > 0
  }

  override fiberChanged(): void {
    for (const place of this.alone.splice(0)) this.more.push(this.branch(place, 1))
  }

  override taskEnded(): void {
    // Trying all of them finds out who was alone. That is too many to be worth it for the second preemption; and the program
    // itself has nobody beside it when it begins.
    if (this.level === 0 && !this.isFirstTask) this.fiberChanged()
    this.alone = []
    this.isFirstTask = false
  }

  private branch(place: number, taken: number): Branch {
    return { choices: { ...this.choices, [place]: taken }, from: place + 1 }
  }
}

/** Chooses at random, the same for the same seed. */
class Seeded implements Chooser {
  readonly choices: Record<number, number> = {}
  private readonly random: () => number
  private preemptions: number
  private readonly probability: number

  constructor(seed: number, preemptions: number, preemptible: number) {
    const random = seeded(seed)
    this.random = () => random.nextDoubleUnsafe()
    this.preemptions = preemptions
    this.probability = preemptions / Math.max(1, preemptible)
  }

  next(place: number, free: number, all: number): number {
    const taken = Math.floor(this.random() * (this.preemptions > 0 ? all : free))
    if (taken === free) this.preemptions--
    if (taken > 0) this.choices[place] = taken
    return taken
  }

  preempts(place: number, isAlone: boolean): boolean {
    if (isAlone || this.preemptions === 0 || this.random() >= this.probability) return false
    this.preemptions--
    this.choices[place] = 1
    return true
  }

  fiberChanged(): void {}

  taskEnded(): void {}
}

/** What came of one schedule. */
export interface Ran<A, E> {
  readonly choices: Choices
  readonly outcome: Outcome<A, E>
}

export interface Bounds {
  readonly preemptions: number
  readonly maxSchedules: number
  readonly samples: number
  readonly seed: number
}

/** How many schedules there were. */
export interface Count {
  /** Those with no preemption, with one, and so on, as far as all of them were run. */
  readonly complete: ReadonlyArray<number>
  /** Others. */
  readonly sampled: number
}

/** Runs the choices given once. */
export const runScripted = <A, E>(choices: Choices, run: (chooser: Chooser) => Outcome<A, E>): Ran<A, E> => {
  const chooser = new Scripted(choices)
  return { choices, outcome: checked(chooser, run(chooser)) }
}

/** A schedule that could not be followed says nothing about the program. */
const checked = <A, E>(chooser: Scripted, outcome: Outcome<A, E>): Outcome<A, E> =>
  chooser.missed.length === 0 || outcome._tag === "Unrepeatable" || outcome._tag === "Redundant"
    ? outcome
    : { _tag: "Unrepeatable", message: `it never came to choice ${chooser.missed[0]}` }

/** Runs one schedule after the other, as they are asked for. */
export function* runSchedules<A, E>(
  { maxSchedules, preemptions, samples, seed }: Bounds,
  run: (chooser: Chooser) => Outcome<A, E>
): Generator<Ran<A, E>, Count, void> {
  const complete: Array<number> = []
  let branches: Array<Branch> = [{ choices: {}, from: 0 }]
  let preemptible: number | undefined
  let sampled = 0
  for (let level = 0; level <= preemptions; level++) {
    const more: Array<Branch> = []
    let count = 0
    // There are at least as many schedules as branches.
    while (branches.length > 0 && count + branches.length <= maxSchedules) {
      const branch = branches.pop()!
      const chooser = new Branching(branch, level, level < preemptions && more.length <= maxSchedules)
      const outcome = checked(chooser, run(chooser))
      if (outcome._tag === "Redundant") continue
      yield { choices: branch.choices, outcome }
      count++
      preemptible ??= chooser.preemptible
      for (const other of chooser.same) branches.push(other)
      for (const other of chooser.more) more.push(other)
    }
    if (branches.length > 0) {
      sampled = count
      break
    }
    complete.push(count)
    branches = more
  }
  if (complete.length > preemptions) return { complete, sampled: 0 }
  for (let sample = 0; sample < samples; sample++) {
    const chooser = new Seeded(seed + sample, preemptions, preemptible ?? 0)
    const outcome = run(chooser)
    if (outcome._tag === "Redundant") continue
    yield { choices: chooser.choices, outcome }
    sampled++
  }
  return { complete, sampled }
}
