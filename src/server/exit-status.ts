/** How a server that ends by itself tells its parent why. Statuses only; what leads to each is said where it is used. */

/** By what a server ended. An operator's scripts rely on these numbers: never change one. */
export const EXIT_STATUS = {
  /** Stopped gracefully. */
  ok: 0,
  /** It could not start: a port in use, a locked or foreign data directory. */
  startup: 1,
  /** A bug was noticed: an assertion failed, and going on could lie. */
  bug: 70,
  /** The disk failed, or holds what must not be there. */
  storage: 74,
  /** The replica was refused for good, or is damaged: a person must act before a restart helps. */
  halted: 78,
} as const;
