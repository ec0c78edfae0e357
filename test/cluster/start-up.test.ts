/**
 * Servers that cannot start, each with a message of its own and an exit status: a data directory in use, one that belongs to
 * another server or is none, ports in use, a newer format, a folder that cannot be written.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { type Cluster, withCluster } from "../support/cluster.js";
import { freePorts, synod } from "../support/processes.js";
import { textFormat } from "../support/server-process.js";

test("servers that cannot start say why", { timeout: 120_000 }, async (t) => {
  await withCluster({ size: 1 }, async (cluster) => {
    await cluster.client().put("kept", "1");
    const lone = await loneServer();
    await cluster.step(t, "a data directory in use", () => locked(cluster, lone));
    await cluster.step(t, "a data directory of another server", () => foreignServer(cluster, lone));
    await cluster.step(t, "a folder that holds something else", () => foreignFolder(cluster, lone));
    await cluster.step(t, "a file in place of the folder, and a folder that cannot be written", () => noFolder(cluster, lone));
    await cluster.step(t, "a client port and a Paxos port in use", () => portsInUse(cluster, lone));
    await cluster.step(t, "an address of another machine", () => otherMachine(cluster, lone));
    assert.equal(await cluster.client().get("kept"), "1", "the running server was not disturbed");
  });
});

type Lone = { readonly my_addr: string; readonly my_paxos: string };

async function loneServer(): Promise<Lone> {
  const [client = 0, paxos = 0] = await freePorts(2);
  return { my_addr: `127.0.0.1:${client}`, my_paxos: `127.0.0.1:${paxos}` };
}

/** Runs a lone server that must not start; what it said. */
async function refused(settings: Lone & { readonly data_dir: string }, status: number): Promise<string> {
  const result = await synod(["server", `${textFormat(settings)} replica:'${settings.my_paxos}'`]);
  assert.equal(result.status, status, `exit status; stderr:\n${result.stderr}`);
  assert.doesNotMatch(result.stderr, /\n\s+at .*\(.*:\d+:\d+\)/, "no stack for what is no bug");
  return result.stderr;
}

async function locked(cluster: Cluster, lone: Lone): Promise<void> {
  const { dataDir } = cluster.server(0);
  const text = await refused({ ...lone, data_dir: dataDir }, 1);
  assert.ok(text.includes(dataDir), text);
  assert.match(text, /in use|locked/i);
}

async function foreignServer(cluster: Cluster, lone: Lone): Promise<void> {
  const { dataDir, paxosAddress } = cluster.server(0);
  await cluster.server(0).stop();
  const text = await refused({ ...lone, data_dir: dataDir }, 1);
  assert.ok(text.includes(paxosAddress) && text.includes(lone.my_paxos) && text.includes(dataDir), text);
  cluster.start();
  await cluster.awaitCoordinator();
}

async function foreignFolder(cluster: Cluster, lone: Lone): Promise<void> {
  const folder = join(cluster.folder, "documents");
  mkdirSync(folder);
  writeFileSync(join(folder, "letter.txt"), "Dear Sir or Madam");
  const text = await refused({ ...lone, data_dir: folder }, 1);
  assert.ok(text.includes(folder), text);
  assert.deepEqual(readdirSync(folder), ["letter.txt"], "nothing was written into it");
  assert.equal(readFileSync(join(folder, "letter.txt"), "utf8"), "Dear Sir or Madam");
}

async function noFolder(cluster: Cluster, lone: Lone): Promise<void> {
  const file = join(cluster.folder, "file");
  writeFileSync(file, "");
  const text = await refused({ ...lone, data_dir: file }, 1);
  assert.ok(text.includes(file), text);
  if (process.getuid?.() !== 0) {
    const closed = join(cluster.folder, "closed");
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    assert.match(await refused({ ...lone, data_dir: join(closed, "data") }, 6), /cannot use its data directory/);
  }
}

async function portsInUse(cluster: Cluster, lone: Lone): Promise<void> {
  const { clientAddress } = cluster.server(0);
  const folder = join(cluster.folder, "unborn");
  const client = await refused({ ...lone, my_addr: clientAddress, data_dir: folder }, 1);
  assert.ok(client.includes(clientAddress), client);
  assert.match(client, /in use/);
  const [port = 0] = await freePorts(1);
  const squatter = createServer().listen(port, "127.0.0.1");
  await once(squatter, "listening");
  const paxos = await refused({ ...lone, my_paxos: `127.0.0.1:${port}`, data_dir: folder }, 1);
  assert.ok(paxos.includes(`127.0.0.1:${port}`), paxos);
  squatter.close();
}

async function otherMachine(cluster: Cluster, lone: Lone): Promise<void> {
  const folder = join(cluster.folder, "elsewhere");
  // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
  const text = await refused({ my_addr: "192.0.2.1:8000", my_paxos: lone.my_paxos, data_dir: folder }, 1);
  assert.match(text, /192\.0\.2\.1:8000/);
}
