import { render } from "preact"
import { App } from "./App.tsx"
import { Live } from "./Live.ts"

const live = new Live()
render(<App live={live} />, document.getElementById("app")!)
live.start()
