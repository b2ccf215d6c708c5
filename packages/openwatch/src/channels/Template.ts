/**
 * The body of a webhook as somebody wants it: a text with places for what there is to say.
 *
 * ```
 * {"text": "{{severity}}: {{title}}", "host": "{{host}}"}
 * ```
 *
 * What is put in is written as the format of the body wants it: in JSON it is escaped for a string, in a form for a value, in XML for
 * text. `{{alert}}` is the whole alert as JSON, which JSON takes as it is. What an alert does not have is empty.
 */
import { DateTime } from "effect"
import { hostOf, severityOf, timeOf, titleOf, type Told } from "./Message.ts"

/** The placeholders, and how the value of each is read from what is told. */
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

const place = /\{\{\s*([^{}]*?)\s*\}\}/g

const isPlace = (name: string): name is keyof typeof places => Object.hasOwn(places, name)

const xmlEntities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&apos;"
}

/** How a text is written in a body of each format: within the quotes of a string of JSON, as a value of a form, as text of XML. */
const escapes = {
  json: (text) => JSON.stringify(text).slice(1, -1),
  form: (text) => encodeURIComponent(text.toWellFormed()),
  xml: (text) => text.replace(/[&<>"']/g, (character) => xmlEntities[character]!),
  text: (text) => text
} satisfies Readonly<Record<string, (text: string) => string>>

/** What a body is. */
export type Format = keyof typeof escapes

/** The format of a body with this content type; JSON where there is none. */
export const formatOf = (contentType: string | undefined): Format => {
  if (contentType === undefined || /\bjson\b/i.test(contentType)) return "json"
  if (/^\s*application\/x-www-form-urlencoded\b/i.test(contentType)) return "form"
  return /\b(?:xml|html)\b/i.test(contentType) ? "xml" : "text"
}

/** A text with placeholders. */
export interface Template {
  readonly text: string
  readonly format: Format
}

const fill = ({ format, text }: Template, valueOf: (name: string) => string, whole: string): string =>
  text.replace(place, (_, name: string) => {
    if (name === "alert") return format === "json" ? whole : escapes[format](whole)
    return escapes[format](valueOf(name))
  })

/** Fills in the placeholders. `whole` is all that is told, as JSON. */
export const render = (template: Template, told: Told, whole: string): string => {
  const { tags } = told.alert
  return fill(template, (name) => {
    if (isPlace(name)) return places[name](told)
    const tag = name.slice("tags.".length)
    return name.startsWith("tags.") && Object.hasOwn(tags, tag) ? tags[tag]! : ""
  }, whole)
}

/** What is wrong with a template; nothing where it is right, whatever is put in. */
export const problemOf = (template: Template): string | undefined => {
  for (const [, name = ""] of template.text.matchAll(place)) {
    if (name !== "alert" && !isPlace(name) && !/^tags\../.test(name)) {
      return `there is no {{${name}}}; expected one of ${[...Object.keys(places), "alert", "tags.NAME"].join(", ")}`
    }
  }
  if (template.format === "form" && !/^[^\s\p{C}]*$/u.test(template.text.replace(place, ""))) {
    return "it is no form: it has blanks or line ends; expected name=value, joined by &, with + for a blank"
  }
  if (template.format !== "json") return undefined
  try {
    // Its own name is a value that JSON takes within quotes alone, as most others are. `alert` is taken without alone.
    JSON.parse(fill(template, (name) => name, `{"alert":"alert"}`))
    return undefined
  } catch (error) {
    return `it is not JSON once filled in: ${
      error instanceof Error ? error.message : String(error)
    }; expected JSON with each place but {{alert}} within quotes, or another content-type in \`headers\``
  }
}
