/**
 * Text that may be shown as it is: on a terminal, in a log, on a page.
 *
 * Much of what OpenWatch shows was written by strangers: the names of scan targets, the ids and titles of rules, what an SSH
 * server says first, the names of files. A line break in it could forge a line, a control character could steer a terminal,
 * and a bidirectional one could show it in another order. So such text is cleaned where it is taken in, once.
 */
import { Schema } from "effect"

// Control, format (bidirectional ones are among these), line and paragraph separators, and halves of surrogate pairs.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu

/** The text with each run of characters that must not be shown replaced by U+FFFD, so that one sees that there was something. */
export const clean = (text: string): string => text.replace(unprintable, "\ufffd")

/** The schema of a text that is clean. */
export const PlainText = Schema.String.check(
  Schema.makeFilter((text: string) => clean(text) === text, {
    expected: "a text without control, format or line-breaking characters"
  })
)
