/**
 * Text that may be shown as it is: on a terminal, in a log, on a page.
 *
 * Much of what OpenWatch shows was written by strangers: the names of scan targets, the ids and titles of rules, the
 * first line of an SSH server, the names of files. A line break in such a text could forge a line. A control character
 * could steer a terminal, and a bidirectional one could change the order in which text is shown. So such text is
 * cleaned once, when it is read.
 */
import { Schema } from "effect"

// Control, format (bidirectional ones are among these), line and paragraph separators, and halves of surrogate pairs.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu

/** Replaces each run of characters that must not be shown by U+FFFD. So readers see that something was there. */
export const clean = (text: string): string => text.replace(unprintable, "\ufffd")

/** The schema of a text that is clean. */
export const PlainText = Schema.String.check(
  Schema.makeFilter((text: string) => clean(text) === text, {
    expected: "a text without control, format or line-breaking characters"
  })
)
