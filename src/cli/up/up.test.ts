/** Tests `synod up` short of starting servers: the plan from arguments and saved data, the state files, and which processes count as ours. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { resolveServerConfig } from "../config/server-config.js";
import { fromText } from "../config/sources.js";
import { CliError } from "../errors.js";
import { describeFailedStart, describeReturn } from "./cluster.js";
import { clusterFileOf, planUp } from "./plan.js";
import { checkPortsFree } from "./ports.js";
import { isRunning, recordOf } from "./processes.js";
import {
  type ClusterFile,
  lockUp,
  readClusterFile,
  readUpFile,
  refuseForeign,
  stillRunning,
  wipe,
  writeClusterFile,
  writeUpFile,
} from "./state.js";

function folder(): string {
  return mkdtempSync(join(tmpdir(), "synod-up-"));
}

const SAVED: ClusterFile = { format: 1, servers: 3, host: "127.0.0.1", port: 8000, paxosPort: 9000 };

test("the plan: five servers, each with an argument that a server takes", () => {
  const plan = planUp(undefined, { dataDir: "/d/it's", failRate: "0.3" }, undefined);
  assert.deepEqual(
    plan.servers.map((server) => [server.number, server.clientAddress, server.paxosAddress, server.logFile]),
    [0, 1, 2, 3, 4].map((i) => [i + 1, `127.0.0.1:${8000 + i}`, `127.0.0.1:${9000 + i}`, `/d/it's/${i + 1}/server.log`]),
  );
  const layers = [fromText(plan.servers[2]?.argument ?? "", "argument", "argument")];
  const { config } = resolveServerConfig({ layers, warnings: [], version: "1", workingDir: "/" });
  assert.deepEqual(
    [config.paxosAddress, config.dataDir, config.failRate, config.replicas.length],
    ["127.0.0.1:9002", "/d/it's/3/data", 0.3, 5],
  );
  assert.deepEqual(clusterFileOf(plan), { format: 1, servers: 5, host: "127.0.0.1", port: 8000, paxosPort: 9000 });
});

test("the plan: every interface for clients leaves the servers' own ports on loopback", () => {
  const plan = planUp("2", { host: "0.0.0.0" }, undefined);
  assert.deepEqual(
    [plan.servers[1]?.clientListen, plan.servers[1]?.clientAddress, plan.servers[1]?.paxosAddress],
    ["0.0.0.0:8001", "127.0.0.1:8001", "127.0.0.1:9001"],
  );
});

test("the plan resumes what the data holds; client ports may change", () => {
  const resumed = planUp(undefined, { port: "7000" }, { ...SAVED, paxosPort: 9100 });
  assert.deepEqual(
    resumed.servers.map((server) => `${server.clientAddress} ${server.paxosAddress}`),
    ["127.0.0.1:7000 127.0.0.1:9100", "127.0.0.1:7001 127.0.0.1:9101", "127.0.0.1:7002 127.0.0.1:9102"],
  );
});

const WRONG: ReadonlyArray<readonly [count: string | undefined, flags: Record<string, string>, message: RegExp]> = [
  ["0", {}, /^the number of servers is '0'; allowed is a whole number from 1 to 64$/],
  ["65", {}, /^the number of servers is '65'/],
  ["-1", {}, /^the number of servers is '-1'/],
  ["five", {}, /^the number of servers is 'five'/],
  ["5.5", {}, /^the number of servers is '5\.5'/],
  [undefined, { port: "0" }, /^--port is '0'; allowed is a port from 1 to 65535$/],
  [undefined, { paxosPort: "x" }, /^--paxos-port is 'x'/],
  ["5", { port: "65533" }, /^5 servers from port 65533 would need port 65537; allowed are ports up to 65535$/],
  ["5", { port: "9003" }, /^--port 9003 and --paxos-port 9000 overlap: 5 servers need 5 ports from each on$/],
  [undefined, { host: "127.0.0.1:8000" }, /^--host is '127\.0\.0\.1:8000'; allowed is a host name or an IP address/],
  [undefined, { failRate: "1" }, /^--fail-rate is '1'; allowed is a number from 0 up to but not including 1$/],
  [undefined, { failRate: "30%" }, /^--fail-rate is '30%'/],
];

for (const [count, flags, message] of WRONG) {
  test(`the plan refuses ${count ?? ""} ${JSON.stringify(flags)}`, () => {
    assert.throws(
      () => planUp(count, flags, undefined),
      (error) => error instanceof CliError && error.exitCode === 128 && message.test(error.message),
    );
  });
}

test("the plan of a resume judges ports by the servers that the data holds", () => {
  assert.equal(planUp(undefined, { port: "8000", paxosPort: "8003" }, { ...SAVED, paxosPort: 8003 }).servers.length, 3);
});

test("the plan refuses to make another cluster of the same data", () => {
  assert.throws(
    () => planUp("5", {}, SAVED),
    /the data in \.\/synod-data belongs to 3 servers with Paxos ports from 127\.0\.0\.1:9000; asked for are 5 servers/,
  );
  assert.throws(() => planUp(undefined, { paxosPort: "9500" }, SAVED), /asked for are 3 servers with Paxos ports from 127\.0\.0\.1:9500/);
});

test("a process counts as ours only while it is the very one", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const record = recordOf(child.pid ?? 0);
  assert.ok(isRunning(record));
  assert.ok(!isRunning({ ...record, token: "another start" }));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(!isRunning(record));
});

test("one up per data directory: refused while one runs or its servers do, taken over when all are gone", async () => {
  const dir = folder();
  lockUp(dir, "D");
  assert.throws(() => lockUp(dir, "D"), new RegExp(`synod up already runs on D \\(process ${process.pid}\\)`));
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const server = { number: 1, ...recordOf(child.pid ?? 0) };
  writeUpFile(dir, [server]);
  assert.deepEqual(stillRunning(readUpFile(dir)).servers, [server]);
  const gone = { up: { pid: 999_999_999, token: "gone" }, servers: [server] };
  writeFileSync(join(dir, "up.json"), JSON.stringify(gone));
  assert.throws(() => lockUp(dir, "D"), /servers of an earlier synod up still run on D/);
  child.kill("SIGKILL");
  await once(child, "exit");
  lockUp(dir, "D");
  assert.equal(readUpFile(dir)?.up.pid, process.pid);
});

test("wipe removes what up made and nothing else", () => {
  const dir = folder();
  writeClusterFile(dir, { ...SAVED, servers: 2 });
  mkdirSync(join(dir, "1", "data"), { recursive: true });
  mkdirSync(join(dir, "2"));
  writeFileSync(join(dir, "notes.txt"), "mine");
  assert.deepEqual(wipe(dir, { ...SAVED, servers: 2 }), [join(dir, "1"), join(dir, "2")]);
  assert.deepEqual(readdirSync(dir), ["notes.txt"]);
  const empty = folder();
  writeClusterFile(empty, SAVED);
  wipe(empty, SAVED);
  assert.ok(!existsSync(empty));
});

test("a new cluster is made where nothing is, or where up was: what is somebody else's stays", () => {
  const dir = folder();
  refuseForeign(dir, "D");
  refuseForeign(join(dir, "new"), "D");
  writeFileSync(join(dir, "up.json"), "{}");
  mkdirSync(join(dir, "127.0.0.1_9000"));
  mkdirSync(join(dir, "lost+found"));
  refuseForeign(dir, "D");
  for (const name of ["1", "a", "b", "c"]) {
    writeFileSync(join(dir, name), "mine");
  }
  assert.throws(() => refuseForeign(dir, "D"), /D is not empty, and holds no data of synod up: 1, a, b and 1 more$/);
  rmSync(join(dir, "1"));
  rmSync(join(dir, "a"));
  writeFileSync(join(dir, "cluster.json"), "");
  refuseForeign(dir, "D");
});

test("whoever ended by itself is brought back by START, but not on data that ends it again", () => {
  const [server] = planUp("1", { dataDir: "/d" }, undefined).servers;
  assert.ok(server !== undefined);
  assert.equal(describeReturn(server, { code: 74, signal: null, wasAsked: false }), "START 1 brings it back");
  assert.equal(
    describeReturn(server, { code: 78, signal: null, wasAsked: false }),
    "once /d/1 is moved away, and not before, START 1 makes it a new member; where it was removed it follows until synod member promote lets it vote",
  );
  assert.equal(describeFailedStart(server, { code: 74, signal: null, wasAsked: false }), "its log, /d/1/server.log", "not START again");
  assert.match(describeFailedStart(server, { code: 78, signal: null, wasAsked: false }), /^once \/d\/1 is moved away, .*; else its log, /);
});

test("a damaged cluster file is refused, not taken for none", () => {
  const dir = folder();
  assert.equal(readClusterFile(dir), undefined);
  writeClusterFile(dir, SAVED);
  assert.deepEqual(readClusterFile(dir), SAVED);
  writeFileSync(join(dir, "cluster.json"), readFileSync(join(dir, "cluster.json"), "utf8").slice(0, 10));
  assert.throws(() => readClusterFile(dir), /is damaged, or from a newer version/);
});

test("ports in use are named with what they are for", async () => {
  const busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  const address = busy.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const plan = planUp("1", { port: String(port), paxosPort: String(port > 40_000 ? port - 20_000 : port + 20_000) }, undefined);
  await assert.rejects(
    checkPortsFree(plan),
    (error) => error instanceof CliError && error.message === `already in use by another program: 127.0.0.1:${port} (clients of server 1)`,
  );
  busy.close();
});
