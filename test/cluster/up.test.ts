/**
 * `synod up` without a terminal: starts N servers, prints their addresses, runs until it is stopped and keeps the data; `up` again
 * resumes; a server that dies is reported and not restarted; `synod down` stops it from outside, `--wipe` removes the data.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type StatusResponse, SynodClient } from "../../src/client/index.js";
import { ending, freePorts, spawnSynod, synod } from "../support/processes.js";
import { until, within } from "../support/wait.js";

const folder = mkdtempSync(join(tmpdir(), "synod-up-"));
const dataDir = join(folder, "data");
after(() => rmSync(folder, { recursive: true, force: true }));

type Up = ReturnType<typeof spawnSynod> & { readonly said: () => string };

function up(args: readonly string[]): Up {
  const child = spawnSynod(["up", ...args], { cwd: folder });
  let text = "";
  const add = (chunk: Buffer): void => {
    text += chunk.toString("utf8");
  };
  child.stdout.on("data", add);
  child.stderr.on("data", add);
  child.stdin.end();
  return Object.assign(child, { said: () => text });
}

/** Waits until each of `endpoints` follows one coordinator. */
function agreed(client: SynodClient): Promise<readonly StatusResponse[]> {
  return until("the servers of synod up to agree", async () => {
    const statuses = await Promise.all(client.endpoints.map((endpoint) => client.status({ endpoint, timeoutMs: 1000 })));
    return statuses.every((status) => status.coordinator !== "" && status.blocked === "") ? statuses : null;
  });
}

test("synod up and synod down, without a terminal", { timeout: 120_000 }, async () => {
  const ports = await freePorts(6);
  const [port = 0] = ports;
  const paxosPort = port + 3;
  const flags = ["--data-dir", dataDir, "--port", String(port), "--paxos-port", String(paxosPort)];
  const endpoints = [0, 1, 2].map((i) => `127.0.0.1:${port + i}`);
  const client = new SynodClient({ endpoints, timeoutMs: 10_000 });
  const started: Up[] = [];
  try {
    const first = up(["3", ...flags]);
    started.push(first);
    await agreed(client);
    for (const address of [...endpoints, ...[3, 4, 5].map((i) => `127.0.0.1:${port + i}`)]) {
      await until(`${address} in the table`, () => (first.said().includes(address) ? true : null));
    }
    await client.put("kept", "by synod up");
    const second = await synod(["up", "3", ...flags], { cwd: folder });
    assert.notEqual(second.status, 0, "a second synod up on the same folder is refused");
    assert.match(second.stderr, /already|in use|runs/i);
    first.kill("SIGTERM");
    assert.deepEqual(await within("synod up to stop", ending(first)), { status: 0, signal: null }, first.said());
    await assert.rejects(client.status({ timeoutMs: 1000 }), /no connection/, "its servers stopped with it");

    const again = up(flags);
    started.push(again);
    await agreed(client);
    assert.equal(await client.get("kept"), "by synod up", "up again resumes, with as many servers as the folder holds");

    // up.json names the processes: one is killed from outside.
    const file = JSON.parse(readFileSync(join(dataDir, "up.json"), "utf8")) as { servers: { number: number; pid: number }[] };
    const victim = file.servers.find((server) => server.number === 3);
    assert.ok(victim !== undefined);
    process.kill(victim.pid, "SIGKILL");
    await until("the death to be reported", () => (/server 3 .*SIGKILL/.test(again.said()) ? true : null));
    await client.put("kept", "by two of three");
    await assert.rejects(client.status({ endpoint: endpoints[2] ?? "", timeoutMs: 1000 }), /no connection/, "it is not restarted");

    const down = await synod(["down", "--data-dir", dataDir], { cwd: folder });
    assert.equal(down.status, 0, down.stderr);
    await within("synod up to stop after synod down", ending(again));
    assert.ok(readdirSync(dataDir).length > 0, "the data is kept");
    const wipe = await synod(["down", "--wipe", "--data-dir", dataDir], { cwd: folder });
    assert.equal(wipe.status, 0, wipe.stderr);
    assert.ok(!existsSync(dataDir) || readdirSync(dataDir).length === 0, "the data is gone");
  } catch (error) {
    for (const child of started) {
      console.error(child.said());
    }
    throw error;
  } finally {
    client.close();
    await Promise.all(started.map((child) => endGracefully(child)));
  }
});

/** `synod up` ends its own servers; killed outright it could not. */
async function endGracefully(child: Up): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGTERM");
    await within("synod up to end", ending(child)).catch(() => child.kill("SIGKILL"));
  }
}
