/**
 * What says that this machine is what is wrong, and not the host that was looked at.
 */

/** Error codes of the system for want of a descriptor, memory, a port or a network, or of a permission. */
export const localFaultCodes: ReadonlySet<string> = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EAI_MEMORY",
  "EADDRINUSE",
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
  "EACCES",
  "EPERM",
  "EAGAIN",
  "EBUSY",
  "ENETDOWN"
])
