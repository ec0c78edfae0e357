/**
 * Tests the command as a user meets it: bin/synod as a process of its own, against fake servers in this one. Every test looks
 * at stdout, stderr and the exit status.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { status } from "@grpc/grpc-js";
import { type FakeBehaviour, FakeFailure, type FakeServer, freePort, startFakeServer } from "../client/testing/fake-server.js";

const LAUNCHER = fileURLToPath(new URL("../../../bin/synod", import.meta.url));

const cleanups: Array<() => void> = [];
after(() => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});

async function fake(behaviour: FakeBehaviour = {}): Promise<FakeServer> {
  const server = await startFakeServer(behaviour);
  cleanups.push(() => server.kill());
  return server;
}

type Run = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
type RunOptions = { readonly input?: string | Buffer; readonly env?: Readonly<Record<string, string>> };

function synod(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(SYNOD|ETCDCTL)_/.test(name)));
  const child = spawn(process.execPath, [LAUNCHER, ...args], { env: { ...env, ...options.env } });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...output })));
}

test("alone it prints a helpful screen", async () => {
  const { code, stdout, stderr } = await synod([]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /synod up .*five servers on this machine, and a prompt/);
  assert.match(stdout, /synod client localhost:8000 true/);
});

test("--version prints the package's version", async () => {
  const { code, stdout } = await synod(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test("--help of every command succeeds", async () => {
  for (const command of ["server", "up", "down", "client", "get", "put", "del", "status", "config", "sim", "check-history"]) {
    const { code, stdout } = await synod([command, "--help"]);
    assert.equal(code, 0, command);
    assert.match(stdout, /^Usage: synod /);
  }
});

test("put, get and del: outputs of etcdctl", async () => {
  const server = await fake();
  const at = ["--endpoints", server.endpoint];
  assert.deepEqual(await synod(["put", "city", "New York", ...at]), { code: 0, stdout: "OK\n", stderr: "" });
  assert.deepEqual(await synod(["get", "city", ...at]), { code: 0, stdout: "city\nNew York\n", stderr: "" });
  assert.deepEqual(await synod(["get", "city", "--print-value-only", ...at]), { code: 0, stdout: "New York\n", stderr: "" });
  assert.deepEqual(await synod(["get", "city", "-w", "json", ...at]), {
    code: 0,
    stdout: '{"kvs":[{"key":"Y2l0eQ==","value":"TmV3IFlvcms="}],"count":1}\n',
    stderr: "",
  });
  assert.deepEqual(await synod(["get", "city", "-w", "table", ...at]), { code: 0, stdout: "KEY   VALUE\ncity  New York\n", stderr: "" });
  assert.deepEqual(await synod(["del", "city", ...at]), { code: 0, stdout: "OK\n", stderr: "" });
  assert.deepEqual(await synod(["get", "city", ...at]), { code: 0, stdout: "", stderr: "Key not found.\n" });
  assert.deepEqual(await synod(["get", "city", "-w", "json", ...at]), { code: 0, stdout: '{"count":0}\n', stderr: "" });
});

test("put takes its value from stdin, byte by byte", async () => {
  const server = await fake();
  assert.equal((await synod(["put", "k", "--endpoints", server.endpoint], { input: "two\nlines\n" })).code, 0);
  assert.equal(server.store.get("k"), "two\nlines\n");
  const binary = await synod(["put", "k", "--endpoints", server.endpoint], { input: Buffer.from([0xff, 0xfe]) });
  assert.deepEqual([binary.code, binary.stderr.split("\n")[0]], [3, "Error: the value on stdin is not valid UTF-8; values are text"]);
  assert.equal((await synod(["put", "--endpoints", server.endpoint, "--", "-k", "-v"])).code, 0);
  assert.equal(server.store.get("-k"), "-v");
});

test("endpoints come from flag, SYNOD_ENDPOINTS, then ETCDCTL_ENDPOINTS; the next one is tried", async () => {
  const server = await fake();
  server.store.set("k", "v");
  const gone = `127.0.0.1:${await freePort()}`;
  const both = `${gone},http://${server.endpoint}`;
  for (const [args, env] of [
    [["--endpoints", both], { SYNOD_ENDPOINTS: gone }],
    [[], { SYNOD_ENDPOINTS: both, ETCDCTL_ENDPOINTS: gone }],
    [[], { ETCDCTL_ENDPOINTS: both }],
  ] as const) {
    assert.equal((await synod(["get", "k", "--print-value-only", ...args], { env })).stdout, "v\n");
  }
});

test("exit statuses, and one thing to try", async () => {
  const gone = `127.0.0.1:${await freePort()}`;
  const refusing = await fake({
    beforePut: (key) => {
      const why = key === "old" ? "the others go on without it and turn it away." : "No server coordinates.";
      throw new FakeFailure(status.UNAVAILABLE, `${why} Nothing was written.`);
    },
    beforeGet: () => {
      throw new FakeFailure(status.INVALID_ARGUMENT, "an empty key");
    },
    beforeDelete: () => new Promise(() => undefined),
    changeMembers: () => {
      throw new FakeFailure(status.FAILED_PRECONDITION, "Replica 1 is the last voter. Promote another first.");
    },
  });
  const at = ["--endpoints", refusing.endpoint];
  const cases: ReadonlyArray<readonly [args: readonly string[], code: number, stderr: RegExp]> = [
    [["get", "k", "--endpoints", gone], 2, /^Error: no connection to 127\.0\.0\.1:\d+ \(connection refused\)\ntry: synod up/],
    [["put", "k", "v", ...at], 4, /^Error: 127\.0\.0\.1:\d+: No server coordinates\. Nothing was written\.\ntry: synod status/],
    [["put", "old", "v", ...at], 4, /^Error: .*the others go on without it and .*\ntry: another endpoint, of a server that the others /],
    [["get", "", ...at], 3, /^Error: 127\.0\.0\.1:\d+: an empty key\ntry: /],
    [
      ["del", "k", "--command-timeout", "200ms", ...at],
      1,
      /^Error: 127\.0\.0\.1:\d+ did not answer in time; the write may have been applied, or may still be\ntry: /,
    ],
    [["get"], 128, /^Error: missing required argument 'key'\ntry: synod get --help\n$/],
    [["get", "k", "--nonsense"], 128, /^Error: unknown option '--nonsense'\ntry: /],
    [["server", "--fail-rat", "0.1"], 128, /^Error: unknown option '--fail-rat'\ntry: --fail-rate, if that is what you meant\n$/],
    [["config", "show", "--fail-rat", "0.1"], 128, /^Error: unknown option '--fail-rat'\ntry: --fail-rate, if that is what you meant\n$/],
    [["get", "k", "--endpoints", ""], 128, /^Error: --endpoints names no server; allowed is host:port/],
    [["get", "k", "--endpont", "x"], 128, /^Error: unknown option '--endpont'\ntry: --endpoints, if that is what you meant\n$/],
    [["get", "k", "-w", "yaml"], 128, /'yaml' is invalid\. Allowed choices are simple, json, table\.\ntry: /],
    [
      ["get", "k", "--endpoints", "a b:1"],
      128,
      /^Error: --endpoints 'a b:1' has the host 'a b', which is not a host name; allowed is host:port/,
    ],
    [["get", "k", "--endpoints", ","], 128, /^Error: --endpoints names no server/],
    [["get", "k", "--command-timeout", "5"], 128, /^Error: --command-timeout is '5'; allowed is a duration above zero with its unit/],
    [["member"], 128, /^Usage: synod member \[options\] \[command\]/],
    [["member", "ad", "x"], 128, /^Error: unknown command 'ad'\ntry: add, if that is what you meant/],
    [["member", "remove"], 128, /^Error: missing required argument 'member'\ntry: synod member --help/],
    [
      ["member", "add", "10.0.0.4:9000", "--wait", "5", ...at],
      128,
      /^Error: --wait is '5'; allowed is a duration above zero with its unit/,
    ],
    [["member", "add", "10.0.0.4", ...at], 3, /^Error: the new server's address '10.0.0.4' .*\ntry: its my_paxos/],
    [["member", "promote", "10.0.0.4:9000", ...at], 3, /^Error: '10.0.0.4:9000' is no member; the members are .*\ntry: .* by its id alone/],
    [
      ["member", "remove", "1", ...at],
      4,
      /^Error: 127\.0\.0\.1:\d+: Replica 1 is the last voter\. Promote another first\.\ntry: what the message asks for/,
    ],
    [["handover", "2", ...at], 3, /^Error: '2' is no member/],
    [["backup"], 128, /^Error: missing required argument 'file'\ntry: synod backup --help/],
    [["backup", "/no/such/b", ...at], 1, /^Error: \/no\/such: there is no such directory \[foreign\]\.\ntry: Check the path\.\n$/],
    [["backup", "--verify", "/"], 1, /^Error: \/: this is a directory, and no backup \[foreign\]\.\ntry: Check the path\.\n$/],
    [["backup", "--verify", "package.json"], 1, /package\.json: this is no backup of Synod \[foreign\]\.\ntry: Check the path\.\n$/],
    [["restore", "b"], 128, /^Error: --to is missing: a directory that does not exist yet\ntry: --to /],
    [["restore", "b", "--to", "d"], 128, /^Error: --address is missing: the my_paxos of the server that will run on it\ntry: --address /],
    [["restore", "/no/b", "--to", "/no/d", "--address", "a:9000"], 1, /^Error: \/no\/b: there is no such file \[foreign\]\.\ntry: /],
    [["recover", "--from", "d", "--address", "a:9000"], 128, /^Error: --to is missing: a directory that does not exist yet\ntry: --to /],
    [["gett", "k"], 128, /^Error: unknown command 'gett'\ntry: synod get, if that is what you meant\n$/],
    [["client", "localhost:8000", "maybe"], 128, /^Error: the second argument of synod client is 'maybe'; allowed is true or false\n/],
    [["client", "localhost:x"], 128, /^Error: the address 'localhost:x' has the port 'x'; allowed is a port from 1 to 65535\n/],
    [["up", "many"], 128, /^Error: the number of servers is 'many'/],
    [["server"], 128, /^Error: my_addr is missing/],
    [["server", "my_addr:'a:1'", "my_paxos:'a:2'"], 128, /^Error: synod server takes one argument; the shell has split it/],
    [["server", "my_addr:0.0.0.0:8000"], 128, /^Error: my_addr: '0\.0\.0\.0:8000' is neither a number nor a word; text goes in quotes/],
  ];
  for (const [args, code, stderr] of cases) {
    const run = await synod(args);
    assert.deepEqual([args.join(" "), run.code, run.stdout], [args.join(" "), code, ""]);
    assert.match(run.stderr, stderr);
  }
});

test("-w json gives errors as JSON", async () => {
  const gone = `127.0.0.1:${await freePort()}`;
  const { code, stderr } = await synod(["put", "k", "v", "-w", "json", "--endpoints", gone]);
  assert.equal(code, 2);
  const parsed = JSON.parse(stderr);
  assert.deepEqual([parsed.code, parsed.outcome, parsed.exitCode, parsed.endpoint], ["connection", "not-applied", 2, gone]);
});

test("client: piped commands, results only on stdout, status of the first failure", async () => {
  const server = await fake();
  const good = await synod(["client", server.endpoint], { input: "PUT a 'x y'\nget a\nGET b\nDELETE a\nEXIT\nGET a\n" });
  assert.deepEqual(good, { code: 0, stdout: "OK\nx y\nKey not found.\nOK\n", stderr: "" });
  const bad = await synod(["client", server.endpoint], { input: "NOPE\nPUT a 1\n" });
  assert.deepEqual([bad.code, bad.stdout], [3, "OK\n"]);
  assert.match(bad.stderr, /^Error: line 1: Invalid command\.\ntry: GET key, PUT key value, DELETE key, HELP, EXIT\n$/);
});

test("client: failover between addresses", async () => {
  const server = await fake();
  const run = await synod(["client", `127.0.0.1:${await freePort()},${server.endpoint}`], { input: "PUT a 1\nGET a\n" });
  assert.deepEqual(run, { code: 0, stdout: "OK\n1\n", stderr: "" });
});

test("client ADDR true: the tour, then the commands of stdin", async () => {
  const server = await fake();
  const { code, stdout } = await synod(["client", server.endpoint, "true"], { input: "GET Paris\n" });
  assert.equal(code, 0);
  assert.match(stdout, /^> PUT Paris France\nOK\n/);
  assert.match(stdout, /the city of light\n$/);
});

test("status: a healthy server is 0, a missing one 5", async () => {
  const paxosAddress = "127.0.0.1:9000";
  const healthy = await fake({
    status: () => ({
      role: "coordinator",
      paxosAddress,
      coordinator: paxosAddress,
      replicaId: 1n,
      voters: [{ replicaId: 1n, paxosAddress, live: true }],
    }),
  });
  const well = await synod(["status", "--endpoints", healthy.endpoint]);
  assert.equal(well.code, 0);
  assert.match(
    well.stdout,
    /^ID {2}ENDPOINT[\s\S]*coordinator[\s\S]*\nhealthy: 1 of 1 server answers, 127\.0\.0\.1:9000 coordinates; no further server may fail\n$/,
  );
  const missing = await synod(["status", "--endpoints", `${healthy.endpoint},127.0.0.1:${await freePort()}`]);
  assert.equal(missing.code, 5);
  assert.match(missing.stdout, /no answer[\s\S]*\ndegraded: 1 of 2 servers answer/);
});

test("config show prints origins, and says why a server would not start", async () => {
  const text = "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000' replica:'127.0.0.1:9000'";
  const good = await synod(["config", "show", text, "--fail-rate", "0.1"], { env: { SYNOD_PING_MS: "50" } });
  assert.equal(good.code, 0);
  assert.match(good.stdout, /^fail_rate +0\.1 +--fail-rate$/m);
  assert.match(good.stdout, /^ping_ms +50 +SYNOD_PING_MS$/m);
  assert.match(good.stdout, /^my_addr +127\.0\.0\.1:8000 +argument 1:9$/m);
  assert.match(good.stdout, /^grant_ms +600 +default$/m);
  assert.match(good.stdout, /^join +\(none, there is replica\) +default$/m, "one of the two is enough");
  const none = await synod(["config", "show"]);
  assert.equal(none.code, 128);
  assert.match(none.stdout, /^my_addr +\(required\)/m);
  assert.match(none.stdout, /^replica +\(required: replica or join\)[\s\S]*^join +\(required: replica or join\)/m);
  assert.match(none.stderr, /^Error: a server would not start with this: my_addr is missing/);
});

test("down where nothing runs succeeds; --wipe without data does not", async () => {
  assert.deepEqual(await synod(["down", "--data-dir", "/tmp/synod-none"]), {
    code: 0,
    stdout: "Nothing runs on /tmp/synod-none.\n",
    stderr: "",
  });
  const run = await synod(["down", "--wipe", "--data-dir", "/tmp/synod-none"]);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /^Error: \/tmp\/synod-none holds no data of synod up; nothing is removed\n/);
});
