const whole = new Intl.NumberFormat("en")
const rounded = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 })
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
const date = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" })
const full = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "long", hourCycle: "h23" })
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
/** 13:05 where that is today, else Nov 23 */
export const soon = (when: string | number): string =>
  new Date(when).toDateString() === new Date().toDateString() ? clock(when).slice(0, 5) : day(when)
/** Monday, November 23, 2026 at 13:05:09 GMT+1, in the reader's time zone */
export const exact = (when: string | number): string => full.format(new Date(when))

/** just now, 12 min ago, 3 h ago, 2 days ago; clocks of two machines differ, so what is to come is just now */
export const ago = (when: string | number, now: number): string => {
  const minutes = Math.floor((now - new Date(when).getTime()) / 60_000)
  if (minutes < 1) return "just now"
  if (minutes < 120) return `${minutes} min ago`
  return minutes < 2_880 ? `${Math.floor(minutes / 60)} h ago` : `${whole.format(Math.floor(minutes / 1_440))} days ago`
}

/** 1 host, 2 hosts */
export const counted = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`
