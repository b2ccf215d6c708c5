/**
 * How much of the specs the tests of a run cover. A criterion is covered when a test of it has passed and none has
 * failed; a skipped test covers nothing. A test names its criterion twice, as `[<spec id>/AC-01]` in its title and in
 * comments above it, so that results and sources can each be searched for it; the two have to agree.
 */
import type { Annotation } from "./annotations.ts"
import type { Manifest, Spec } from "./Spec.ts"

export interface TestOutcome {
  /** The title, those of the `describe` blocks around it included. */
  readonly title: string
  /** Where it is, as `path:line`. */
  readonly place: string
  readonly state: "passed" | "failed" | "skipped"
  /** The annotations above it. */
  readonly annotations: ReadonlyArray<Annotation>
}

export interface Run {
  readonly specs: ReadonlyArray<Spec>
  /** What is wrong with specs that could not be read. */
  readonly faults: ReadonlyArray<string>
  readonly thresholds: NonNullable<Manifest["settings"]["coverage"]>
  readonly tests: ReadonlyArray<TestOutcome>
  /** Annotations that stand above no test. */
  readonly strays: ReadonlyArray<Annotation & { readonly path: string }>
  /** What narrowed the run down to some of the tests: a criterion without a test does not fail such a run. */
  readonly narrowedBy: ReadonlyArray<string>
}

export interface Coverage {
  readonly rows: ReadonlyArray<{ readonly id: string; readonly covered: number; readonly total: number }>
  readonly notes: ReadonlyArray<string>
  /** What fails the run. */
  readonly problems: ReadonlyArray<string>
}

// Wider than the ids it looks for, so that a misspelt one is reported instead of being taken for prose.
const criteriaIn = (title: string): ReadonlyArray<string> =>
  Array.from(new Set(Array.from(title.matchAll(/\[([^[\]]*\/AC-[^[\]]*)\]/gi), ([, criterion = ""]) => criterion)))

const contradiction = ({ annotations, title }: TestOutcome): string | undefined => {
  const [criterion, ...others] = criteriaIn(title)
  if (others.length > 0) return `names ${[criterion, ...others].join(" and ")}, expected one criterion for each test`
  const expected = criterion === undefined ? "" : `// @spec ${criterion.replace("/", " // @ac ")}`
  const found = annotations.map(({ text }) => text).join(" ")
  return found === expected
    ? undefined
    : `has ${found || "no annotation"} above it, expected ${expected || "none, as its title names no criterion"}`
}

/** Sets the outcomes of a run's tests against the specs. */
export const measure = ({ faults, narrowedBy, specs, strays, tests, thresholds }: Run): Coverage => {
  const notes: Array<string> = []
  const problems = [...faults, ...strays.map(({ line, path, text }) => `${path}:${line}: ${text} is above no test`)]

  const testsOf = new Map<string, Array<TestOutcome>>()
  for (const test of tests) {
    const fault = contradiction(test)
    if (fault !== undefined) problems.push(`${test.place}: "${test.title}" ${fault}`)
    else for (const criterion of criteriaIn(test.title)) testsOf.set(criterion, [...testsOf.get(criterion) ?? [], test])
  }

  const rows = specs.map((spec) => {
    const uncovered = spec.acceptance_criteria.flatMap(({ description, id }) => {
      const own = testsOf.get(`${spec.id}/${id}`) ?? []
      testsOf.delete(`${spec.id}/${id}`)
      const failed = own.filter(({ state }) => state === "failed")
      if (failed.length === 0 && own.some(({ state }) => state === "passed")) return []
      const places = (failed.length > 0 ? failed : own).map(({ place }) => place).join(", ")
      const why = failed.length > 0 ? `fails at ${places}` : own.length > 0 ? `is skipped at ${places}` : "has no test"
      return [`${spec.id}/${id} ${why}: ${description.trim()}`]
    })
    const total = spec.acceptance_criteria.length
    const covered = total - uncovered.length
    const required = spec.tier === 1 ? 100 : thresholds[`tier${spec.tier}`] ?? 0
    if (narrowedBy.length === 0) (covered * 100 < required * total ? problems : notes).push(...uncovered)
    return { id: spec.id, covered, total }
  })

  for (const [criterion, own] of testsOf) {
    const spec = specs.find(({ id }) => criterion.startsWith(`${id}/`))
    // The spec may be one that could not be read.
    if (spec === undefined && faults.length > 0) continue
    const known = spec?.acceptance_criteria.map(({ id }) => `${spec.id}/${id}`) ?? specs.map(({ id }) => id)
    problems.push(...own.map(({ place }) => `${place}: No spec has ${criterion}, expected one of ${known.join(", ")}`))
  }
  if (narrowedBy.length > 0) notes.push(`Partial run (${narrowedBy.join(", ")}): uncovered criteria do not fail it`)
  return { rows, notes, problems }
}

/** One aligned line for each spec, such as `system-event-bus  13/13  100%`. */
export const table = (rows: Coverage["rows"]): ReadonlyArray<string> => {
  const cells = rows.map(({ covered, id, total }) =>
    [id, `${covered}/${total}`, `${Math.floor(covered * 100 / total)}%`] as const
  )
  const width = (column: 0 | 1 | 2) => Math.max(...cells.map((cell) => cell[column].length))
  return cells.map(([id, ratio, percent]) =>
    `${id.padEnd(width(0))}  ${ratio.padStart(width(1))}  ${percent.padStart(width(2))}`
  )
}
