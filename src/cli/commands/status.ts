/** `synod status`: every server that can be found, as a row; exit status 5 where anything is missing or blocked. */
import { clientOptions, makeClient } from "../client-options.js";
import { EXIT } from "../errors.js";
import { type Flags, textFlag } from "../flags.js";
import { gatherStatus } from "../status/gather.js";
import { judge } from "../status/health.js";
import { renderStatus } from "../status/view.js";
import { painter } from "../table.js";

/** Prints the table; resolves to 0 only where the cluster is healthy. */
export async function runStatus(flags: Flags): Promise<number> {
  const options = clientOptions(flags, process.env);
  using client = makeClient(options);
  const rows = await gatherStatus(client, options.endpoints);
  const health = judge(rows);
  const format = textFlag(flags, "writeOut");
  process.stdout.write(
    renderStatus(rows, health, {
      format: format === "json" || format === "simple" ? format : "table",
      columns: process.stdout.isTTY ? process.stdout.columns : undefined,
      paint: painter(process.stdout, process.env),
    }),
  );
  return health.state === "healthy" ? EXIT.ok : EXIT.unhealthy;
}
