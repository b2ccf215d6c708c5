import type { ComponentChildren } from "preact"
import type { OpenAlert } from "./Live.ts"

/** How severe something is, in a colour and, for those who do not see it, in a word. */
export const Badge = (
  { children, severity }: { severity: OpenAlert["severity"]; children?: ComponentChildren }
) => (
  <span class={`badge severity-${severity}`}>
    {children === undefined ? severity : (
      <>
        <span class="said">{severity}:{" "}</span>
        {children}
      </>
    )}
  </span>
)
