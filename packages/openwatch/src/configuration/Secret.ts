/**
 * Secrets in files that people edit. A key has the secret itself. The same key with `_env` names the variable of the
 * environment that has it. No message shows its value.
 */
import { Redacted, Schema } from "effect"

/** The variables of the environment, by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The name of a variable. */
export const EnvironmentVariable = Schema.String.check(
  Schema.isPattern(/^[A-Za-z_][A-Za-z0-9_]*$/, { expected: "the name of an environment variable" })
)

/** A secret, as the file has it. */
// Messages of its own, as the default ones show the value.
export const Secret = Schema.String.annotate({ message: "Expected a text that is not empty" }).check(
  Schema.isNonEmpty({ message: "Expected a text that is not empty" })
)

/**
 * Removes the line end that many tools add. An environment made of files has it, one made by `$(cat FILE)` does not.
 */
export const trimmed = (text: string): string => text.replace(/[\r\n]+$/, "")

/** Reads what is at a place in the file from there or from the environment, and adds what is wrong to `problems`. */
export const read = (
  at: string,
  { given, variable }: { readonly given: string | undefined; readonly variable: string | undefined },
  environment: Environment,
  problems: Array<string>
): Redacted.Redacted | undefined => {
  if (given !== undefined && variable !== undefined) {
    const key = at.slice(at.lastIndexOf(".") + 1)
    problems.push(`${at}_env: \`${key}\` is given as well; expected one of the two`)
  } else if (variable !== undefined && trimmed(environment[variable] ?? "") === "") {
    problems.push(`${at}_env: the environment variable ${variable} is not set`)
  }
  const value = trimmed(given ?? (variable === undefined ? undefined : environment[variable]) ?? "")
  return value === "" ? undefined : Redacted.make(value, { label: at })
}
