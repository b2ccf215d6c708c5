/**
 * A spec says what one system must do: the constraints it lives under and the acceptance criteria that show it does.
 * Specs are YAML files in the format of the Specter tool, beside a `specter.yaml` that says where they are and how much
 * of each tier must be covered. Both are decoded strictly: what the format does not know is an error, not ignored.
 */
import { Predicate, Result, Schema, SchemaAST, SchemaIssue, SemVer } from "effect"
import * as Yaml from "effect/encoding/Yaml"

const id = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

const SpecId = id(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, "a kebab-case id such as system-event-bus")
const ConstraintId = id(/^C-\d{2,}$/, "a constraint id such as C-01")
const CriterionId = id(/^AC-\d{2,}$/, "a criterion id such as AC-01")

const Version = Schema.String.check(
  Schema.makeFilter((text: string) => Result.isSuccess(SemVer.parse(text)), {
    expected: "a semantic version such as 1.0.0"
  })
)

const uniqueIds = Schema.makeFilter((items: ReadonlyArray<{ readonly id: string }>) =>
  items.flatMap((item, index) =>
    items.findIndex((other) => other.id === item.id) < index
      ? [{ path: [index, "id"], issue: `Expected a unique id, got a second ${item.id}` }]
      : []
  )
)

const Constraint = Schema.Struct({
  id: ConstraintId,
  description: Schema.NonEmptyString,
  type: Schema.optionalKey(Schema.Literals(["technical", "security", "performance", "accessibility", "business"])),
  enforcement: Schema.optionalKey(Schema.Literals(["error", "warning", "info"]))
})

const Criterion = Schema.Struct({
  id: CriterionId,
  description: Schema.NonEmptyString,
  priority: Schema.optionalKey(Schema.Literals(["critical", "high", "medium", "low"])),
  references_constraints: Schema.optionalKey(Schema.Array(ConstraintId))
})

export interface Spec extends Schema.Schema.Type<typeof Spec> {}
export const Spec = Schema.Struct({
  id: SpecId,
  version: Version,
  title: Schema.optionalKey(Schema.NonEmptyString),
  status: Schema.Literals(["draft", "review", "approved", "deprecated", "removed"]),
  /** 1 is the most critical and must be covered whole; what 2 and 3 need is a setting of the project. */
  tier: Schema.Literals([1, 2, 3]),
  context: Schema.Struct({
    system: Schema.NonEmptyString,
    feature: Schema.optionalKey(Schema.NonEmptyString),
    description: Schema.optionalKey(Schema.NonEmptyString),
    related_specs: Schema.optionalKey(Schema.Array(SpecId))
  }),
  objective: Schema.Struct({
    summary: Schema.NonEmptyString,
    scope: Schema.optionalKey(Schema.Struct({
      includes: Schema.optionalKey(Schema.Array(Schema.NonEmptyString)),
      excludes: Schema.optionalKey(Schema.Array(Schema.NonEmptyString))
    }))
  }),
  constraints: Schema.NonEmptyArray(Constraint).check(uniqueIds),
  acceptance_criteria: Schema.NonEmptyArray(Criterion).check(uniqueIds)
}).check(
  Schema.makeFilter((spec) =>
    spec.acceptance_criteria.flatMap((criterion, i) =>
      (criterion.references_constraints ?? []).flatMap((reference, j) =>
        spec.constraints.some((constraint) => constraint.id === reference) ? [] : [{
          path: ["acceptance_criteria", i, "references_constraints", j],
          issue: `Expected one of ${spec.constraints.map((constraint) => constraint.id).join(", ")}, got ${reference}`
        }]
      )
    )
  )
)

const SpecFile = Schema.Struct({ spec: Spec })

const Percentage = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))

export interface Manifest extends Schema.Schema.Type<typeof Manifest> {}
export const Manifest = Schema.Struct({
  schema_version: Schema.Literal(1),
  system: Schema.Struct({ name: Schema.NonEmptyString, description: Schema.optionalKey(Schema.NonEmptyString) }),
  settings: Schema.Struct({
    specs_dir: Schema.NonEmptyString,
    /** Per cent of a spec's criteria that need a passing test, by the spec's tier. */
    coverage: Schema.optionalKey(Schema.Struct({
      tier1: Schema.optionalKey(Schema.Literal(100)),
      tier2: Schema.optionalKey(Percentage),
      tier3: Schema.optionalKey(Percentage)
    })),
    strictness: Schema.Literal("threshold")
  })
})

const flatten = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    if (Predicate.isTagged(issue, "MissingKey")) return "Expected a value, it is missing"
    if (!Predicate.isTagged(issue, "UnexpectedKey")) return SchemaIssue.defaultLeafHook(issue)
    const keys = SchemaAST.isObjects(issue.ast) ? issue.ast.propertySignatures.map(({ name }) => String(name)) : []
    return `Unexpected key, expected one of ${keys.join(", ")}`
  }
})

/** `["spec", "constraints", 0, "id"]` as `spec.constraints[0].id`. */
const formatPath = (path: ReadonlyArray<unknown>): string =>
  path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("").replace(/^\./, "")

const decode = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  path: string,
  text: string
): Result.Result<S["Type"], ReadonlyArray<string>> =>
  Result.try({ try: () => Yaml.parse(text), catch: (error) => [`${path}: Expected YAML, got ${String(error)}`] }).pipe(
    Result.flatMap((value) =>
      Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error", reportInput: true })(value).pipe(
        Result.mapError(({ issue }) =>
          flatten(issue).issues.map((fault) =>
            [path, formatPath(fault.path ?? []), fault.message].filter((part) => part !== "").join(": ")
          )
        )
      )
    )
  )

/** A file's path, as messages are to show it, and its text. */
export type File = readonly [path: string, text: string]

/** Decodes spec files; each fault is one line, with the file, the path inside it and what was expected there. */
export const decodeSpecs = (files: ReadonlyArray<File>): {
  readonly specs: ReadonlyArray<Spec>
  readonly faults: ReadonlyArray<string>
} => {
  const decoded = new Map<string, { readonly path: string; readonly spec: Spec }>()
  const faults: Array<string> = []
  for (const [path, text] of files) {
    const result = decode(SpecFile, path, text)
    if (Result.isFailure(result)) {
      faults.push(...result.failure)
      continue
    }
    const { spec } = result.success
    const other = decoded.get(spec.id)
    if (other === undefined) decoded.set(spec.id, { path, spec })
    else faults.push(`${path}: spec.id: Expected a unique id, got ${spec.id}, which is that of ${other.path}`)
  }
  return { specs: Array.from(decoded.values(), ({ spec }) => spec), faults }
}

/** Decodes `specter.yaml`; faults are as those of {@link decodeSpecs}. */
export const decodeManifest = ([path, text]: File): Result.Result<Manifest, ReadonlyArray<string>> =>
  decode(Manifest, path, text)
