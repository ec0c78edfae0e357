/** Whether memory is let go of, for tests of queues that must not keep what has left them. Node alone can say. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Whether anything still refers to what `make` returned, once the event loop has gone on and garbage was collected. */
export async function isKept(make: () => WeakRef<object>): Promise<boolean> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const ref = make();
  await new Promise((resolve) => setImmediate(resolve)); // a WeakRef holds on to its target until the turn in which it was made is over
  collect();
  return ref.deref() !== undefined;
}
