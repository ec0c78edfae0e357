/** `synod sim --demo`: the same schedule under the unsafe rule, which is a planted bug, and under the real one. */
import { EXIT } from "../errors.js";
import type { DemoName, QuorumRule } from "./options.js";
import { drain, loadSimulator } from "./simulator.js";

/** The bug that is the unsafe rule: PROTOCOL §7.6, 22. */
const LIVE_RULE = "22";

/** Tells the demonstration under `rule`, or under one after the other; resolves to 0: that the unsafe rule fails is no failure. */
export async function tellDemo(name: DemoName, rule: QuorumRule | null, say: (line: string) => void): Promise<number> {
  const rules: readonly QuorumRule[] = rule === null ? ["live", "majority"] : [rule];
  for (const [i, each] of rules.entries()) {
    if (i > 0) {
      say("");
      say("");
    }
    const { DEMO_LIST, runDemo } = await loadSimulator(each === "live" ? LIVE_RULE : null);
    const demo = DEMO_LIST.find((one) => one.name === name);
    if (demo === undefined) {
      throw new Error(`no demonstration is called ${name}`);
    }
    await runDemo(demo, { rule: each, drain, say });
  }
  return EXIT.ok;
}
