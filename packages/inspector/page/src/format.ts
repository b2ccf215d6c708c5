const whole = new Intl.NumberFormat("en")
const rounded = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 })
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
const date = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" })
const dateTime = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" })

/** 12,345 */
export const count = (n: number): string => whole.format(n)
/** 12.3 */
export const rate = (n: number): string => short.format(n)
/** 45 s, 12 min, 3.5 h, 2 days */
export const duration = (seconds: number): string =>
  seconds < 100
    ? `${rounded.format(seconds)} s`
    : seconds < 6_000
    ? `${rounded.format(seconds / 60)} min`
    : seconds < 172_800
    ? `${short.format(seconds / 3_600)} h`
    : `${rounded.format(seconds / 86_400)} days`
/** Nov 23, in the reader's time zone */
export const day = (when: string | number): string => date.format(new Date(when))
/** 13:05:09, in the reader's time zone */
export const clock = (when: string | number): string => time.format(new Date(when))
/** Nov 23, 2026, 13:05, in the reader's time zone */
export const moment = (when: string | number): string => dateTime.format(new Date(when))
