/**
 * Alerts as mail, by a server that is reached with TLS, at once (`tls`) or after STARTTLS (RFC 3207).
 *
 * The first mail of an alert has the id of the alert as `Message-ID`. All others have one of their own, made of what they tell,
 * so that a second copy of a mail is recognized and a reminder is not taken for one. Each refers to the ids of the alerts that it
 * tells of, or ends: mail programs show them as one thread, also where the alert came in a mail with others, whose
 * `Message-ID` is another.
 */
import { DateTime, Duration, Effect, Redacted } from "effect"
import { createHash } from "node:crypto"
import * as Net from "node:net"
import * as Tls from "node:tls"
import MailComposer from "nodemailer/lib/mail-composer"
import SMTPConnection from "nodemailer/lib/smtp-connection"
import { ChannelError, type Routing } from "../alert-router/AlertChannel.ts"
import type { Security } from "../configuration/ChannelConfiguration.ts"
import { clean } from "../events/PlainText.ts"
import * as ForPeople from "./ForPeople.ts"
import { factsOf, keysOf, type Message, timeOf, titleOf, type Told } from "./Message.ts"

/** By which server mail goes, from whom, and to whom. */
export interface Options extends Routing, Partial<ForPeople.GroupingOptions> {
  readonly host: string
  readonly port: number
  readonly security: Security
  readonly credentials: { readonly username: string; readonly password: Redacted.Redacted } | undefined
  readonly from: string
  readonly to: ReadonlyArray<string>
}

/** How long a server may say nothing. */
const patience = Duration.toMillis(Duration.seconds(9))

const shownLength = 300

const shown = (text: string): string => clean(text.trim().replace(/\s+/g, " ").slice(0, shownLength))

const linesOf = (pairs: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> =>
  pairs.map(([name, value]) => `${name}: ${value}`)

const timeLine = (told: Told, zone: DateTime.TimeZone): string =>
  DateTime.formatIsoOffset(DateTime.setZone(timeOf(told), zone)).replace("T", " ").replace(/\.\d+/, "")

const linkLines = (link: string | undefined): ReadonlyArray<string> => link === undefined ? [] : [`Look: ${link}`]

/** The text of a mail. */
export const textOf = ({ link, sections }: Message, zone: DateTime.TimeZone): string => {
  const all = sections.flatMap(({ told }) => told)
  const [first, ...others] = all
  if (first !== undefined && others.length === 0) {
    return [
      titleOf(first),
      "",
      ...linesOf(factsOf(first.alert)),
      `Time: ${timeLine(first, zone)}`,
      ...linesOf(keysOf(first.alert)),
      ...linkLines(link),
      ""
    ].join("\n")
  }
  const parts = sections.map(({ headline, more, told }) =>
    [
      headline,
      "",
      ...told.map((each) => `- ${timeLine(each, zone)} ${titleOf(each)} (alert ${each.alert.id})`),
      ...(more === 0 ? [] : [`- and ${more} more`]),
      ""
    ].join("\n")
  )
  return [...parts, ...linkLines(link), ""].join("\n")
}

/** What is told, as a part of the id of a mail: the first time of an alert it is the id of that. */
const partOf = ({ _tag, alert: { againAt, id } }: Told): string =>
  _tag === "AlertEnded" ? `${id}.end` : againAt === undefined ? id : `${id}.${DateTime.toEpochMillis(againAt)}`

/** The ids of the alerts of whose threads it is part. */
const threadsOf = (told: Told): ReadonlyArray<string> => {
  const { againAt, id, resolves, supersedes } = told.alert
  if (told._tag === "AlertEnded" || againAt !== undefined) return [id]
  const earlier = resolves ?? supersedes
  return earlier === undefined ? [] : [earlier]
}

/** How many alerts a mail refers to at most: a line of a header has an end (RFC 5322 section 2.1.1 leaves room for more). */
const mostReferences = 50

/** How a mail is known, and which mails it belongs to. */
const identityOf = (told: ReadonlyArray<Told>, from: string) => {
  const domain = from.slice(from.lastIndexOf("@") + 1)
  const idOf = (part: string) => `<${part}@${domain}>`
  const [first, ...others] = told
  if (first !== undefined && others.length === 0) {
    const references = threadsOf(first).map(idOf)
    return { messageId: idOf(partOf(first)), references, inReplyTo: references }
  }
  const whole = createHash("sha256").update(told.map(partOf).join(" ")).digest("hex").slice(0, 32)
  // Nobody has the mails of alerts that come with others: this one stands for all of them.
  const alerts = new Set(told.flatMap((each) => [...threadsOf(each), each.alert.id]))
  return { messageId: idOf(whole), references: Array.from(alerts).slice(0, mostReferences).map(idOf), inReplyTo: [] }
}

/** Why a mail was not accepted: what the server said, or why it could not be asked. */
interface Refusal {
  readonly code?: string | undefined
  /** What the operating system has called it. */
  readonly originalCode?: string | undefined
  readonly command?: string | undefined
  readonly response?: string | undefined
  readonly responseCode?: number | undefined
}

const errorOf = ({ code, command, originalCode, response, responseCode }: Refusal): ChannelError =>
  response === undefined || response === ""
    ? new ChannelError({
      message: `the mail server cannot be reached: ${originalCode ?? code ?? "it hung up"}`,
      isRetryable: true
    })
    : new ChannelError({
      message: `the mail server answered: ${shown(response)}`,
      // It has read the mail, and takes it for wrong. All else somebody may set right.
      isRetryable: !(command === "DATA" && responseCode !== undefined && responseCode >= 500)
    })

/** Hands one mail to the server. Returns what it said, and the receivers for whom it does not take mail. */
const transact = (
  { credentials, host, port, security }: Options,
  envelope: { readonly from: string; readonly to: ReadonlyArray<string> },
  mail: Buffer
): Effect.Effect<{ readonly response: string; readonly rejected: ReadonlyArray<string> }, ChannelError> =>
  Effect.callback((resume) => {
    const isSecured = security === "tls"
    const connection = new SMTPConnection({
      // Without one it asks DNS servers by itself, whatever `/etc/hosts` says.
      connection: isSecured ? Tls.connect({ host, port }) : Net.connect({ host, port }),
      host,
      secure: isSecured,
      secured: isSecured,
      requireTLS: security === "starttls",
      ignoreTLS: security === "none",
      connectionTimeout: patience,
      greetingTimeout: patience,
      socketTimeout: patience,
      // What it says after that is of no interest, nor whether it hangs up.
      socketCloseTimeout: 0
    })
    const fail = (error: Refusal) => {
      resume(Effect.fail(errorOf(error)))
      connection.close()
    }
    const send = () =>
      connection.send({ from: envelope.from, to: [...envelope.to] }, mail, (error, info) => {
        if (error !== null) return fail(error)
        resume(Effect.succeed({ response: info?.response ?? "", rejected: info?.rejected ?? [] }))
        connection.quit()
        connection.close()
      })
    connection.on("error", fail)
    connection.on("end", () => fail({}))
    connection.connect((error) => {
      if (error !== undefined && error !== null) return fail(error)
      if (credentials === undefined) return send()
      const { password, username } = credentials
      connection.login(
        { user: username, pass: Redacted.value(password) },
        (error) => error === null ? send() : fail(error)
      )
    })
    return Effect.sync(() => connection.close())
  })

/** Sends mail. */
export const make = (options: Options) =>
  Effect.map(DateTime.CurrentTimeZone, (zone) =>
    ForPeople.make(options, (message, told) =>
      Effect.gen(function*() {
        const { from, name, to } = options
        const { inReplyTo, messageId, references } = identityOf(told, from)
        const node = new MailComposer({
          from: { name: "OpenWatch", address: from },
          to: [...to],
          subject: `[${message.severity}] ${message.subject}`,
          date: DateTime.toDate(yield* DateTime.now),
          messageId,
          ...(inReplyTo.length === 0 ? {} : { inReplyTo: inReplyTo.join(" ") }),
          ...(references.length === 0 ? {} : { references }),
          // No machine is to answer (RFC 3834).
          headers: { "Auto-Submitted": "auto-generated" },
          text: textOf(message, zone)
        }).compile()
        const mail = yield* Effect.promise(() => node.build())
        const { rejected, response } = yield* transact(options, { from, to }, mail)
        if (rejected.length > 0) {
          yield* Effect.logWarning(`The mail server of the channel "${name}" takes no mail for ${rejected.join(", ")}`)
        }
        const refusals = rejected.length === 0 ? "" : `; it takes no mail for ${rejected.join(", ")}`
        return `the mail server answered: ${shown(response)}${refusals}`
      })))
