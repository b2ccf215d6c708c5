/**
 * Alerts as Adaptive Cards of a Microsoft Teams workflow: "Post to a channel when a webhook request is received"
 * (https://support.microsoft.com/office/8ae491c7-0394-4861-ba59-055e33f75498). The workflow's URL is its secret.
 *
 * Teams takes up to 28 KB. What is told of the same is one line, with the first twenty names.
 */
import { DateTime } from "effect"
import type { Severity } from "../alert-router/Alert.ts"
import * as ForPeople from "./ForPeople.ts"
import { factsOf, keysOf, type Message } from "./Message.ts"

/** The colors of text that cards know (https://adaptivecards.io/explorer/TextBlock.html). */
const colors: { readonly [S in Severity]: string } = {
  critical: "attention",
  high: "attention",
  medium: "warning",
  low: "accent",
  info: "good"
}

// Cards read some of Markdown (https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features).
const escape = (text: string): string => text.replace(/[\\*_[\]()`~#>-]/g, "\\$&")

/** How many characters a fact may have, so that all of them fit into a card. */
const longestFact = 500

const cut = (text: string): string => text.length <= longestFact ? text : `${text.slice(0, longestFact - 1)}…`

/** The body of the request. The date is shown in the reader's own zone. */
export const format = ({ link, occurredAt, sections }: Message): string => {
  const at = `${DateTime.formatIso(occurredAt).slice(0, 19)}Z`
  const [only, ...others] = sections.flatMap(({ told }) => told)
  const facts = only === undefined || others.length > 0 ? [] : [...factsOf(only.alert), ...keysOf(only.alert)]
  const card = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    msteams: { width: "Full" },
    body: [
      ...sections.map(({ headline, severity }) => ({
        type: "TextBlock",
        text: `**${severity}** ${escape(headline)}`,
        color: colors[severity],
        wrap: true
      })),
      {
        type: "FactSet",
        facts: [
          ...facts.map(([title, value]) => ({ title, value: escape(cut(value)) })),
          { title: "Time", value: `{{DATE(${at},SHORT)}} {{TIME(${at})}}` }
        ]
      }
    ],
    ...(link === undefined ? {} : { actions: [{ type: "Action.OpenUrl", title: "Look", url: link }] })
  }
  return JSON.stringify({
    type: "message",
    attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", contentUrl: null, content: card }]
  })
}

/** Posts to the workflow. */
export const make = ForPeople.posting(format)
