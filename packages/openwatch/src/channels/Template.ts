/**
 * The body of a webhook as somebody wants it: a text with places for what there is to say.
 *
 * ```
 * {"text": "{{severity}}: {{title}}", "host": "{{host}}"}
 * ```
 *
 * Where the text is JSON, what is put in is escaped for a string of JSON. `{{alert}}` is the whole alert as JSON, which is put in
 * as it is. What an alert does not have is empty.
 */
import { DateTime } from "effect"
import { hostOf, severityOf, timeOf, titleOf, type Told } from "./Message.ts"

/** What can be put in, and how it is read from what is told. */
const places = {
  id: ({ alert }) => alert.id,
  /** `firing`, or `resolved` where it tells that something is over. */
  state: (told) => told._tag === "AlertRaised" && told.alert.severity !== "info" ? "firing" : "resolved",
  type: ({ alert }) => alert.type,
  severity: severityOf,
  title: titleOf,
  host: ({ alert }) => hostOf(alert),
  host_id: ({ alert }) => alert.hostId,
  address: ({ alert }) => alert.host?.address ?? "",
  reason: ({ alert }) => alert.reason?.text ?? "",
  reason_code: ({ alert }) => alert.reason?.code ?? "",
  prior_score: ({ alert }) => String(alert.drift?.priorScore ?? ""),
  current_score: ({ alert }) => String(alert.drift?.currentScore ?? ""),
  key: ({ alert }) => alert.dedupKey,
  resolves: ({ alert }) => alert.resolves ?? "",
  supersedes: ({ alert }) => alert.supersedes ?? "",
  link: ({ alert }) => alert.link ?? "",
  time: (told) => DateTime.formatIso(timeOf(told))
} satisfies Readonly<Record<string, (told: Told) => string>>

const place = /\{\{\s*([A-Za-z0-9_.-]*)\s*\}\}/g

const isPlace = (name: string): name is keyof typeof places => Object.hasOwn(places, name)

/** A text with places. */
export interface Template {
  readonly text: string
  readonly isJson: boolean
}

/** Puts in what there is to say; `whole` is all of it, as JSON. */
export const render = ({ isJson, text }: Template, told: Told, whole: string): string =>
  text.replace(place, (_, name: string) => {
    if (name === "alert") return whole
    const { tags } = told.alert
    const tag = name.slice("tags.".length)
    const value = isPlace(name)
      ? places[name](told)
      : name.startsWith("tags.") && Object.hasOwn(tags, tag)
      ? tags[tag]!
      : ""
    return isJson ? JSON.stringify(value).slice(1, -1) : value
  })

/** What is wrong with a template; nothing where it is right. */
export const problemOf = (template: Template, sample: Told): string | undefined => {
  for (const [, name = ""] of template.text.matchAll(place)) {
    if (name !== "alert" && !isPlace(name) && !/^tags\../.test(name)) {
      return `there is no {{${name}}}; expected one of ${[...Object.keys(places), "alert", "tags.NAME"].join(", ")}`
    }
  }
  if (!template.isJson) return undefined
  try {
    JSON.parse(render(template, sample, "{}"))
    return undefined
  } catch (error) {
    return `it is not JSON once filled in: ${
      error instanceof Error ? error.message : String(error)
    }; expected JSON, or another content-type in \`headers\``
  }
}
