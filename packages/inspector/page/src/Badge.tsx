import { counted } from "./format.ts"
import type { OpenAlert } from "./Live.ts"

/** How severe the worst of some alerts is, in a colour and in a word, and how many there are besides. */
export const Badge = ({ alerts: [worst, ...others] }: { alerts: ReadonlyArray<OpenAlert> }) =>
  worst === undefined ? null : (
    <span class={`badge severity-${worst.severity}`}>
      <span aria-hidden="true">{worst.severity}{others.length === 0 ? "" : ` +${others.length}`}</span>
      <span class="said">{counted(1 + others.length, "alert")}, {worst.severity}</span>
    </span>
  )
