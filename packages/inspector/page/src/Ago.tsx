import { useEffect, useState } from "preact/hooks"
import { ago, exact } from "./format.ts"

/** All times of the page move on together, and only those are drawn whose words have changed. */
const listeners = new Set<() => void>()
setInterval(() => {
  for (const listener of listeners) listener()
}, 10_000)

/** How long ago something was, in words; the exact time, with its zone, is in the title. */
export const Ago = ({ at }: { readonly at: string }) => {
  const [text, setText] = useState(() => ago(at, Date.now()))
  useEffect(() => {
    const update = () => setText(ago(at, Date.now()))
    update()
    listeners.add(update)
    return () => {
      listeners.delete(update)
    }
  }, [at])
  return <time dateTime={at} title={exact(at)}>{text}</time>
}
