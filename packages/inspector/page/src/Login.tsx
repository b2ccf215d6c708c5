import { useLayoutEffect, useRef, useState } from "preact/hooks"
import type { Live } from "./Live.ts"

export const Login = ({ live }: { live: Live }) => {
  const [problem, setProblem] = useState<string>()
  const [isBusy, setIsBusy] = useState(false)
  const token = useRef<HTMLInputElement>(null)
  // What had the focus before is gone; a keyboard would start at the top of the document.
  useLayoutEffect(() => token.current!.focus(), [])
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setIsBusy(true)
    const problem = await live.login(token.current!.value)
    setProblem(problem)
    setIsBusy(false)
    if (problem === undefined) document.getElementById("main")!.focus()
  }
  return (
    <form class="panel login" method="post" onSubmit={(event) => void submit(event)}>
      <h2>Sign in</h2>
      <label for="token">Token</label>
      <input
        ref={token}
        id="token"
        name="token"
        type="password"
        autocomplete="current-password"
        required
        aria-describedby="token-problem"
        aria-invalid={problem !== undefined}
      />
      <p id="token-problem" class="problem" role="alert">{problem}</p>
      <button type="submit" disabled={isBusy}>Sign in</button>
    </form>
  )
}
