import { ago, exact } from "./format.ts"

/** All times of the page move on together, and only those are drawn whose words have changed. */
setInterval(() => {
  const now = Date.now()
  for (const element of document.querySelectorAll<HTMLTimeElement>("time[data-ago]")) {
    const text = element.firstChild as Text
    const said = ago(element.dateTime, now)
    if (text.data !== said) text.data = said
  }
}, 10_000)

/** How long ago something was, in words; the exact time, with its zone, is in the title. */
export const Ago = ({ at }: { readonly at: string }) => (
  <time data-ago dateTime={at} title={exact(at)}>{ago(at, Date.now())}</time>
)
