/**
 * Hosts as tiles, of which only those are in the document that can be seen, and a few around them: thousands cost no more
 * than a screenful. The list is one stop of the tabulator, with arrow keys inside.
 */
import { options } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { Ago } from "./Ago.tsx"
import { Badge } from "./Badge.tsx"
import { moment, rate } from "./format.ts"
import type { OpenAlert } from "./Live.ts"
import { describeMaintenance, maintainedUntil, maintenanceSign, Until, type WatchedHost } from "./Maintenance.tsx"
import { addressOfHost } from "./View.ts"

export const sign = { unreachable: "▲", unjudged: "◇", unknown: "?", reachable: "●" } as const

/** A host with its open alerts, the most severe first. */
export interface Tile {
  readonly host: WatchedHost
  readonly alerts: ReadonlyArray<OpenAlert>
}

/** Where somebody was who comes back to the tiles. */
export interface Place {
  top: number
  hostId: string | undefined
}

/** Rows beyond the edges, so that scrolling shows no holes. */
const spare = 3

/** The sign and the colour say that a host is down, so there is room for why. */
const Detail = ({ alerts, host }: Tile) => {
  const { reason, score, since, state } = host
  if (maintainedUntil(host) !== undefined) {
    return (
      <span class="what">
        <span class="said">{state},{" "}</span>
        <span class={alerts.length === 0 ? "" : "said"}>in maintenance{" "}</span>
        <Until host={host} />
      </span>
    )
  }
  if (state === "reachable") {
    return (
      <span class="what">
        {score === null ? "reachable" : (
          <>
            <span class="said">reachable,{" "}</span>score {rate(score)} %
          </>
        )}
      </span>
    )
  }
  return (
    <>
      <span class="what">
        {reason === null ? state : (
          <>
            <span class="said">{state}:{" "}</span>
            {reason}
          </>
        )}
        {since === null ? "" : ", "}
      </span>
      {since === null ? null : <Ago at={since} />}
    </>
  )
}

/** All that a tile has too little room for. */
const titleOf = ({ maintenance = [], name, reason, since, state }: WatchedHost): string =>
  [
    `${name}: ${state}${reason === null ? "" : `, ${reason}`}${since === null ? "" : `, since ${moment(since)}`}`,
    ...maintenance.map((each) => `${each.isOn ? "In maintenance" : "Maintenance"} ${describeMaintenance(each)}`)
  ].join("\n")

/** The geometry of the tiles, as the style sheet made it. */
interface Shape {
  readonly columns: number
  /** With the gap below it. */
  readonly rowHeight: number
  /** Of what can be seen. */
  readonly height: number
}

const shapeOf = (list: HTMLElement): Shape => {
  const { gridAutoRows, gridTemplateColumns, rowGap } = getComputedStyle(list)
  return {
    columns: Math.max(1, gridTemplateColumns.split(" ").length),
    rowHeight: parseFloat(gridAutoRows) + parseFloat(rowGap),
    height: list.parentElement!.clientHeight
  }
}

const rendering: { debounceRendering?: ((render: () => void) => void) | undefined } = options

/** While the page is printed all are in the document. */
const usePrinting = (): boolean => {
  const [isPrinting, setIsPrinting] = useState(false)
  useEffect(() => {
    // The browser takes the picture when this returns, so it cannot wait for its turn.
    const now = (isPrinting: boolean) => () => {
      const { debounceRendering } = rendering
      rendering.debounceRendering = (render) => render()
      setIsPrinting(isPrinting)
      rendering.debounceRendering = debounceRendering
    }
    const before = now(true)
    const after = now(false)
    addEventListener("beforeprint", before)
    addEventListener("afterprint", after)
    return () => {
      removeEventListener("beforeprint", before)
      removeEventListener("afterprint", after)
    }
  }, [])
  return isPrinting
}

export const Tiles = ({ place, tiles }: { tiles: ReadonlyArray<Tile>; place: Place }) => {
  const box = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLUListElement>(null)
  const [shape, setShape] = useState<Shape>({ columns: 1, rowHeight: 64, height: 640 })
  const [top, setTop] = useState(place.top)
  const [reachedId, setReachedId] = useState(place.hostId)
  const isPrinting = usePrinting()
  const isFocusWanted = useRef(false)

  useLayoutEffect(() => {
    const measure = () => {
      const next = shapeOf(list.current!)
      setShape((shape) =>
        shape.columns === next.columns && shape.rowHeight === next.rowHeight && shape.height === next.height
          ? shape
          : next
      )
    }
    measure()
    const resized = new ResizeObserver(measure)
    resized.observe(box.current!)
    return () => resized.disconnect()
  }, [])
  // Once what is above is as high as it was.
  useLayoutEffect(() => {
    box.current!.scrollTop = place.top
  }, [shape])

  const { columns, height, rowHeight } = shape
  const rows = Math.ceil(tiles.length / columns)
  const firstRow = isPrinting ? 0 : Math.max(0, Math.min(Math.floor(top / rowHeight), rows - 1) - spare)
  const lastRow = isPrinting ? rows : Math.min(rows, Math.ceil((top + height) / rowHeight) + spare)
  const first = firstRow * columns
  const shown = tiles.slice(first, lastRow * columns)
  const reached = Math.max(0, tiles.findIndex(({ host }) => host.id === reachedId))
  // What has the focus stays in the document, or a keyboard would start at the top of the page.
  const isReachedShown = reached >= first && reached < first + shown.length

  const moveTo = (index: number) => {
    const tile = tiles[index]
    if (tile === undefined) return false
    const at = Math.floor(index / columns) * rowHeight
    const element = box.current!
    if (at < element.scrollTop) element.scrollTop = at
    else if (at + rowHeight > element.scrollTop + height) element.scrollTop = at + rowHeight - height
    setTop(element.scrollTop)
    isFocusWanted.current = true
    setReachedId(tile.host.id)
    return true
  }
  useLayoutEffect(() => {
    if (!isFocusWanted.current) return
    isFocusWanted.current = false
    list.current!.querySelector<HTMLElement>("[tabindex='0']")?.focus({ preventScroll: true })
  })

  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(height / rowHeight)) * columns
    const to = {
      ArrowRight: reached + 1,
      ArrowLeft: reached - 1,
      ArrowDown: reached + columns,
      ArrowUp: reached - columns,
      PageDown: Math.min(reached + page, tiles.length - 1),
      PageUp: Math.max(reached - page, 0),
      Home: 0,
      End: tiles.length - 1
    }[event.key]
    if (to !== undefined && moveTo(to)) event.preventDefault()
  }

  const item = ({ alerts, host }: Tile, index: number) => (
    <li
      key={host.id}
      class={index < first || index >= first + shown.length ? "said" : ""}
      aria-posinset={index + 1}
      aria-setsize={tiles.length}
    >
      <a
        class={`tile ${host.state}${maintainedUntil(host) === undefined ? "" : " maintained"}`}
        href={addressOfHost(host.id)}
        tabIndex={index === reached ? 0 : -1}
        title={titleOf(host)}
        onFocus={() => {
          place.hostId = host.id
          setReachedId(host.id)
        }}
        onClick={() => {
          place.hostId = host.id
        }}
      >
        <span class="name">
          <span aria-hidden="true">
            {sign[host.state]}
            {maintainedUntil(host) === undefined ? "" : maintenanceSign}
          </span>{" "}
          {host.name}
        </span>
        <span class="of">
          <Detail host={host} alerts={alerts} />
        </span>
        <Badge alerts={alerts} />
      </a>
    </li>
  )

  return (
    <div
      class="tiles"
      ref={box}
      onScroll={(event) => {
        place.top = event.currentTarget.scrollTop
        // A row at a time: what lies between two rows is in the document anyway.
        const top = Math.floor(event.currentTarget.scrollTop / rowHeight) * rowHeight
        setTop(top)
      }}
    >
      <ul
        class="grid"
        ref={list}
        aria-label="Hosts, the worst first"
        style={{ paddingTop: `${firstRow * rowHeight}px`, paddingBottom: `${(rows - lastRow) * rowHeight}px` }}
        onKeyDown={onKeyDown}
      >
        {isReachedShown || reached > first ? null : item(tiles[reached]!, reached)}
        {shown.map((tile, index) => item(tile, first + index))}
        {isReachedShown || reached < first ? null : item(tiles[reached]!, reached)}
      </ul>
    </div>
  )
}
