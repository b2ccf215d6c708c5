import { count } from "./format.ts"

interface Props {
  readonly of: number
  readonly most: number
  readonly isAll: boolean
  readonly onChange: (isAll: boolean) => void
}

/** Says how many of a long list are not shown, and shows them. */
export const More = ({ isAll, most, of, onChange }: Props) =>
  of <= most ? null : (
    <p class="more">
      {isAll ? null : <span class="muted">{count(of - most)} more are not shown.</span>}
      <button type="button" onClick={() => onChange(!isAll)}>{isAll ? "Show fewer" : `Show all ${count(of)}`}</button>
    </p>
  )
