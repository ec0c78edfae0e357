/**
 * Explores many seeds from the command line: `node dist/src/paxos/testing/explore.js --seeds 10000 --from 1`; one seed with
 * everything that happens: `--from 17 --seeds 1 --trace`. Ends with status 1 at the first seed that fails.
 */
import { parseArgs } from "node:util";
import { exploreSeeds } from "./explore-seeds.js";
import { explore } from "./explorer.js";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    from: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
  },
});
const from = Number(values.from);
const seeds = Number(values.seeds);

if (values.trace) {
  for (let seed = from; seed < from + seeds; seed++) {
    explore(seed, (line) => console.log(line));
  }
} else {
  const started = process.cpuUsage();
  const { failures, coverage, steps, decided } = exploreSeeds({ from, count: seeds, failuresMax: values.keep ? seeds : 1 });
  for (const failure of failures) {
    console.error(values.keep ? failure.message : failure.report);
  }
  const cpu = process.cpuUsage(started);
  console.log(
    `${seeds} seeds from ${from}: ${steps} steps, ${decided} slots decided, ${Math.round((cpu.user + cpu.system) / 1000)} ms of CPU`,
  );
  console.log([...coverage].map(([what, times]) => `${what} ${times}`).join(", "));
  process.exitCode = failures.length === 0 ? 0 : 1;
}
