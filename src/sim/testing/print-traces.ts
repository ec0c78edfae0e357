/** Prints the trace hash of each seed named on the command line: what run.test.ts compares between versions of Node. */
import { runScenario } from "../run.js";
import { drawScenario } from "../scenario/draw.js";
import { drain } from "./drain.js";

for (const seed of process.argv.slice(2).map(Number)) {
  const { traceHash } = await runScenario(drawScenario(seed, { minutes: 0.5 }), { drain });
  console.log(`${seed} ${traceHash}`);
}
