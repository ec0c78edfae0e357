/**
 * A foreign HTTP/2 stack (nghttp2, by h2load) at full speed against a cluster: every call answered with 2xx, and the store's revision
 * counts each put once. No timing is judged. Skipped, aloud, where h2load is not installed.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { grpcMessage } from "../support/byte-stream.js";
import { type Cluster, withCluster } from "../support/cluster.js";
import { GET, getMessage, PUT, putMessage } from "../support/grpc-call.js";
import { startProgram } from "../support/processes.js";
import { within } from "../support/wait.js";

const CALLS = 4000;
const installed = spawnSync("h2load", ["--version"]).status === 0;

test("h2load: 64 in flight through every server", {
  timeout: 90_000,
  skip: installed ? false : "h2load is NOT INSTALLED (Debian: nghttp2-client)",
}, async () => {
  await withCluster({ size: 3 }, async (cluster) => {
    const before = (await cluster.awaitEqual()).revision;
    for (const { index } of cluster.servers) {
      await run(cluster, index, PUT, putMessage("h2load", "v".repeat(256)));
      await run(cluster, index, GET, getMessage("h2load"));
    }
    const { revision } = await cluster.awaitEqual();
    assert.equal(revision - before, BigInt(3 * CALLS), "each put was applied once");
    assert.equal(await cluster.client().get("h2load"), "v".repeat(256));
  });
});

async function run(cluster: Cluster, index: number, path: string, message: Uint8Array): Promise<void> {
  const file = join(cluster.folder, "request.bin");
  writeFileSync(file, grpcMessage(message));
  const headers = ["content-type: application/grpc", "te: trailers"].flatMap((header) => ["-H", header]);
  const flags = ["-n", String(CALLS), "-c", "4", "-m", "16", "-d", file, ...headers];
  const child = startProgram("h2load", [...flags, `http://${cluster.server(index).clientAddress}${path}`]);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
  });
  child.stderr.resume();
  await within("h2load to end", once(child, "close"));
  assert.match(
    text,
    new RegExp(`${CALLS} total, ${CALLS} started, ${CALLS} done, ${CALLS} succeeded, 0 failed, 0 errored, 0 timeout`),
    text,
  );
}
