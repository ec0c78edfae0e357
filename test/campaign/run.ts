/**
 * The inner half of `npm run campaign`: runs below `unshare` where that is possible, with its options as JSON in its argument, says
 * how it goes on stderr, each deed in deeds.log, and the outcome as JSON on stdout. Exits 1 where something is wrong. Ends when its parent does.
 */
import { appendFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CampaignOptions, runCampaign } from "./campaign.js";

process.stdin.on("end", () => process.exit(1)).resume();
const options = JSON.parse(process.argv[2] ?? "{}") as CampaignOptions;
const log = (text: string): void => appendFileSync(join(tmpdir(), "deeds.log"), `${new Date().toISOString()} ${text}\n`);
const say = (text: string): void => {
  log(text);
  console.error(text);
};
const outcome = await runCampaign(options, { log, say });
console.log(JSON.stringify(outcome));
process.exitCode = outcome.violations.length === 0 ? 0 : 1;
process.stdin.destroy();
