/** How a simulation lets promises settle on Node. */

/** Resolves when every promise that can settle has, and all that waited for it ran: microtasks come before the next tick. */
export function drain(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
