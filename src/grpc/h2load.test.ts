/**
 * The server under nghttp2's load generator, a foreign HTTP/2 stack: many streams on few connections, and many connections. Every request must
 * succeed; speed is the benchmarks' matter. Skipped, saying so, where h2load is not installed.
 */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { GrpcServer } from "./server.js";
import { testServices } from "./testing/services.js";
import { grpcMessage } from "./testing/wire.js";

const missing = spawnSync("h2load", ["--version"]).status !== 0;
const skip = missing ? "h2load is not installed (Debian: nghttp2-client)" : false;

for (const [connections, streams, requests] of [
  [16, 16, 30_000],
  [256, 1, 5000],
] as const) {
  test(`h2load ${connections} x ${streams}: every request succeeds`, { skip }, async () => {
    const server = new GrpcServer(testServices().services);
    const { port } = await server.listen("127.0.0.1", 0);
    const folder = mkdtempSync(join(tmpdir(), "h2load-"));
    const body = join(folder, "body");
    writeFileSync(body, grpcMessage(new Uint8Array(280).fill(7)));
    try {
      const headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
      const load = ["-c", String(connections), "-m", String(streams), "-n", String(requests)];
      const { stdout } = await promisify(execFile)("h2load", [
        ...load,
        "-d",
        body,
        ...headers,
        `http://127.0.0.1:${port}/test.Service/Echo`,
      ]);
      assert.match(stdout, new RegExp(`${requests} succeeded, 0 failed, 0 errored, 0 timeout`));
      assert.match(stdout, new RegExp(`status codes: ${requests} 2xx`));
    } finally {
      server.close();
      rmSync(folder, { recursive: true });
    }
  });
}
