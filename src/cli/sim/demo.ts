/** The demonstrations. */
import type { DemoName, QuorumRule } from "./options.js";

export async function runDemo(_name: DemoName, _rule: QuorumRule | null): Promise<number> {
  return 0;
}
