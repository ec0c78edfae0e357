/** Runs seeds of the simulator on the planted program for scripts/mutants.js: answers with the first that breaks a promise, or that none does. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const planted = join(import.meta.dirname, "..", "dist", "planted", "src");
const load = (path) => import(pathToFileURL(join(planted, path)).href);
const { plant } = await load("base/planted.js");
const { drawScenario } = await load("sim/scenario/draw.js");
const { runScenario } = await load("sim/run.js");
const drain = () => new Promise((resolve) => setImmediate(resolve));

/** One seed; what a bug throws out of the simulator itself is a kill as well. */
async function runSeed(seed) {
  const scenario = drawScenario(seed);
  try {
    const { violation, virtualMicros } = await runScenario(scenario, { drain });
    return violation === null ? null : { seed, schedule: scenario.name, violation, virtualMs: Math.round(virtualMicros / 1000) };
  } catch (error) {
    return { seed, schedule: scenario.name, violation: { invariant: "error", message: String(error) }, virtualMs: 0 };
  }
}

process.on("message", async ({ id, seeds }) => {
  plant(id);
  for (const seed of seeds) {
    const found = await runSeed(seed);
    if (found !== null) {
      process.send(found);
      return;
    }
  }
  process.send({ clean: true });
});
