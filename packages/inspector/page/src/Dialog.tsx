import type { ComponentChildren } from "preact"
import { useLayoutEffect, useRef } from "preact/hooks"

/** A dialog over the page, shown as long as it is there. Escape asks for its end, unless it is busy. */
export const Dialog = ({ children, describedBy, isBusy = false, labelledBy, onClose }: {
  /** The id of its heading. */
  readonly labelledBy: string
  /** The id of what says more. */
  readonly describedBy: string
  readonly isBusy?: boolean
  readonly onClose: () => void
  readonly children: ComponentChildren
}) => {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    dialog.current!.showModal()
    return () => dialog.current?.close()
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby={labelledBy}
      aria-describedby={describedBy}
      onCancel={(event) => isBusy ? event.preventDefault() : onClose()}
      // One that is gone already tells of its close late: by then there may be another.
      onClose={({ currentTarget }) => currentTarget.isConnected && onClose()}
    >
      {children}
    </dialog>
  )
}
