/**
 * The simulator, of the program or of the copy that holds the planted bugs. A bug is never part of the program: it exists in that
 * copy alone, which a source tree makes for itself where it is missing or old.
 */
import { existsSync } from "node:fs";
import * as real from "../../sim/simulator.js";
import { badArgument, CliError, EXIT } from "../errors.js";
import { nearest } from "../suggest.js";

export type Simulator = typeof real;

const PLANTED = new URL("../../../planted/", import.meta.url);
const PLANTER = new URL("../../../../scripts/plant.js", import.meta.url);

/** So often the event loop has a turn, for signals and output. */
const LOOP_EVERY = 1000;
let drains = 0;

/** Lets promises settle: what the engine asks of the runtime. Node runs every promise that can settle before the next tick, which costs a fraction of a turn of the event loop. */
export function drain(): Promise<void> {
  drains++;
  return new Promise((resolve) => {
    if (drains % LOOP_EVERY === 0) {
      setImmediate(resolve);
    } else {
      process.nextTick(resolve);
    }
  });
}

/** The simulator with the bug `mutant` switched on, in this whole process; null: the program as it is. */
export async function loadSimulator(mutant: string | null): Promise<Simulator> {
  if (mutant === null) {
    return real;
  }
  await refuseUnknown(mutant);
  if (existsSync(PLANTER)) {
    const { plantAll } = (await import(PLANTER.href)) as { readonly plantAll: () => Promise<boolean> };
    await plantAll();
  }
  const path = new URL("src/sim/simulator.js", PLANTED);
  if (!existsSync(path)) {
    throw new CliError("planted bugs are not in this installation: they exist only in a copy of the program that a source tree makes", {
      exitCode: EXIT.io,
      hint: "the same command in a checkout of Synod, after npm run build",
    });
  }
  const { plant } = (await import(new URL("src/base/planted.js", PLANTED).href)) as { readonly plant: (id: string | null) => void };
  plant(mutant);
  return (await import(path.href)) as Simulator;
}

async function refuseUnknown(mutant: string): Promise<void> {
  const { MUTANTS } = await import("../../sim/mutants/index.js");
  const ids = MUTANTS.filter(({ hunt }) => hunt.by === "swarm").map(({ id }) => id);
  if (!ids.includes(mutant)) {
    const guess = nearest(mutant, ids) ?? ids[0];
    throw badArgument(
      `--mutant is '${mutant}', and must be one of ${ids.join(" ")} (docs/MUTANTS.md says what they are)`,
      `synod sim --mutant ${guess}`,
    );
  }
}
