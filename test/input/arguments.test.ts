/**
 * Wrong arguments, variables and configuration files: a table of what is typed with the exit status and the message it gets. Each
 * runs the command as a user does. A mistake names the field, its value and what is allowed, on stderr, without a stack.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { synod } from "../support/processes.js";
import { eachOf } from "../support/wait.js";

const folder = mkdtempSync(join(tmpdir(), "synod-arguments-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Commands at a time: each is a process that mostly starts up. */
const WIDTH = 3;
const BAD_ARGUMENTS = 128;

const ADDR = "my_addr:'127.0.0.1:8000'";
const PAXOS = "my_paxos:'127.0.0.1:9000'";
const REPLICA = "replica:'127.0.0.1:9000'";
const GOOD = `${ADDR} ${PAXOS} ${REPLICA}`;

/** The argument of `synod server`, and what stderr must say. All end with status 128. */
const SERVER: ReadonlyArray<readonly [argument: string, message: RegExp]> = [
  ["", /my_addr is missing: where clients connect/],
  [`${PAXOS} ${REPLICA}`, /my_addr is missing/],
  [`${ADDR} ${REPLICA}`, /my_paxos is missing: where the other servers connect/],
  [`${ADDR} ${PAXOS}`, /replica is missing/],
  [`my_addr:8000 ${PAXOS} ${REPLICA}`, /my_addr \(argument 1:9\) is '?8000'?; allowed is host:port in quotes/],
  [`my_addr:'localhost' ${PAXOS} ${REPLICA}`, /my_addr 'localhost' has no port .*allowed is host:port/],
  [`my_addr:'localhost:0' ${PAXOS} ${REPLICA}`, /has the port '0' .*allowed is a port from 1 to 65535/],
  [`my_addr:'localhost:65536' ${PAXOS} ${REPLICA}`, /has the port '65536'/],
  [`my_addr:'::1:8000' ${PAXOS} ${REPLICA}`, /more than one colon: IPv6 goes in brackets/],
  [`my_addr:'300.0.0.1:8000' ${PAXOS} ${REPLICA}`, /'300\.0\.0\.1', which is not an IPv4 address/],
  [`my_addr:'http://localhost:8000' ${PAXOS} ${REPLICA}`, /begins with http:\/\/, which is not part of an address here/],
  [`my_addr:localhost ${PAXOS} ${REPLICA}`, /my_addr \(.*\) is the word localhost; it takes text in quotes/],
  [`my_addr:{host:'a'} ${PAXOS} ${REPLICA}`, /is a message in braces; it takes a plain value/],
  [`my_addr:['a:1','b:2'] ${PAXOS} ${REPLICA}`, /my_addr \(.*\) is a list; it takes one value/],
  [`${ADDR} ${GOOD}`, /my_addr is given twice \(argument 1:\d+, then argument 1:26\)/],
  [`my_addr:'0.0.0.0:9000' ${PAXOS} ${REPLICA}`, /my_addr '0\.0\.0\.0:9000' and my_paxos '127\.0\.0\.1:9000' are the same address/],
  [`${ADDR} my_paxos:'127.0.0.1:9001' ${REPLICA}`, /my_paxos '127\.0\.0\.1:9001' is not among the replicas \('127\.0\.0\.1:9000'\)/],
  [`${ADDR} my_paxos:'0.0.0.0:9000' replica:'10.0.0.1:9000'`, /0\.0\.0\.0 is no address that others can dial/],
  [`${GOOD} ${REPLICA}`, /replica '127\.0\.0\.1:9000' is listed twice/],
  [`${GOOD} replica:'localhost:9000'`, /are the same server, 127\.0\.0\.1:9000/],
  [`${GOOD} replica:'0.0.0.0:9000'`, /are the same server, 127\.0\.0\.1:9000/],
  [`${GOOD} replica:'10.1.1.1:9000'`, /allowed is one kind for all/],
  [
    `${GOOD} ${Array.from({ length: 64 }, (_, i) => `replica:'127.0.0.1:${9001 + i}'`).join(" ")}`,
    /replica is given 65 times; allowed are at most 64/,
  ],
  [`${GOOD} fail_rat:0.3`, /unknown field 'fail_rat' \(argument 1:77\)[\s\S]*fail_rate/],
  [`${GOOD} fail_rate:1.5`, /fail_rate \(argument 1:87\) is 1\.5; allowed is a number from 0 up to but not including 1/],
  [`${GOOD} fail_rate:1`, /fail_rate \(.*\) is 1; allowed/],
  [`${GOOD} fail_rate:-0.1`, /fail_rate \(.*\) is -0\.1; allowed/],
  [`${GOOD} fail_rate:'often'`, /fail_rate \(.*\) is 'often'; allowed/],
  [`${GOOD} fail_rate:nan`, /fail_rate/],
  [`${GOOD} ping_ms:0`, /ping_ms \(.*\) is 0; allowed is whole milliseconds from 10 to 60000/],
  [`${GOOD} ping_ms:'fast'`, /ping_ms \(.*\) is 'fast'; allowed is whole milliseconds/],
  [`${GOOD} ping_ms:10.5`, /ping_ms \(.*\) is 10\.5; allowed/],
  [`${GOOD} data_dir:''`, /data_dir \(.*\) is ''; allowed is a path in quotes, not empty/],
  [`${GOOD} data_dir:5`, /data_dir \(.*\) is '?5'?; allowed is a path in quotes/],
  [`${GOOD} log_level:'loud'`, /log_level \(.*\) is 'loud'; allowed is fatal, error, warn, info, debug, trace/],
  [`${GOOD} log_format:'xml'`, /log_format \(.*\) is 'xml'; allowed is auto, json, pretty/],
  [`${GOOD} max_key_bytes:65536 max_request_bytes:1024`, /max_key_bytes is 65536, more than max_request_bytes 1024/],
  [`${GOOD} segment_bytes:262144`, /segment_bytes is 262144; allowed is at least twice the larger/],
  [`${GOOD} window_bytes:1024`, /window_bytes is 1024; allowed is at least the larger/],
  [`${GOOD} quota_bytes:'2 parsecs'`, /quota_bytes \(.*\) is '2 parsecs'; allowed is a whole number of bytes/],
  ["my_addr '127.0.0.1:8000'", /argument 1:\d+/],
  ["my_addr:'127.0.0.1:8000", /my_addr.*argument 1:\d+/],
  ["my_addr:'\\q'", /my_addr.*argument 1:\d+/],
  ["my_addr:", /my_addr.*argument 1:\d+/],
  [": 5", /argument 1:1/],
  [`${GOOD} }`, /argument 1:\d+/],
  [`# ${"x".repeat(70_000)}`, /the text is longer than 65536 characters/],
];

for (const [name, rows] of [
  ["the first half", SERVER.slice(0, SERVER.length / 2)],
  ["the second half", SERVER.slice(SERVER.length / 2)],
] as const) {
  test(`synod server refuses wrong arguments: ${name} of ${SERVER.length}`, { timeout: 60_000 }, async (t) => {
    await eachOf(rows, WIDTH, async ([argument, message]) => {
      await t.test(`server ${argument.slice(0, 60)}`, () => refused(["server", argument], { status: BAD_ARGUMENTS, message }));
    });
  });
}

type Row = {
  readonly args: readonly string[];
  readonly status: number;
  readonly message: RegExp;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
};

/** A configuration file with `text`. */
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const NOBODY = "127.0.0.1:1";

const COMMANDS: readonly Row[] = [
  {
    args: ["server", ...GOOD.split(" ")],
    status: BAD_ARGUMENTS,
    message: /takes one argument; the shell has split it[\s\S]*double quotes/,
  },
  {
    args: ["server", GOOD, "--fail-rat", "0.1"],
    status: BAD_ARGUMENTS,
    message: /unknown option '--fail-rat'[\s\S]*--fail-rate, if that is what you meant/,
  },
  { args: ["server", GOOD, "--fail-rate", "2"], status: BAD_ARGUMENTS, message: /fail_rate \(--fail-rate\) is '2'; allowed/ },
  { args: ["server", GOOD, "--fail-rate"], status: BAD_ARGUMENTS, message: /--fail-rate/ },
  { args: ["server", GOOD], env: { SYNOD_FAIL_RATE: "many" }, status: BAD_ARGUMENTS, message: /fail_rate \(SYNOD_FAIL_RATE\) is 'many'/ },
  { args: ["server", "--config", join(folder, "none")], status: BAD_ARGUMENTS, message: /none/ },
  { args: ["server", "--config", file("broken.json", "{")], status: BAD_ARGUMENTS, message: /broken\.json is not valid JSON/ },
  {
    args: ["server", "--config", file("bool.json", '{"fail_rate": true}')],
    status: BAD_ARGUMENTS,
    message: /fail_rate \(.*\) is true; it takes text or a number/,
  },
  {
    args: ["server", "--config", file("odd.json", '{"fail_rat": 0}')],
    status: BAD_ARGUMENTS,
    message: /unknown field 'fail_rat' \(.*odd\.json\)/,
  },
  { args: ["server", "--config", file("odd.conf", "fail_rate 0.3 0.4")], status: BAD_ARGUMENTS, message: /odd\.conf 1:\d+/ },
  { args: ["config", "show", `${GOOD} fail_rate:7`], status: BAD_ARGUMENTS, message: /fail_rate/ },
  { args: ["nonsense"], status: BAD_ARGUMENTS, message: /unknown command 'nonsense'/ },
  { args: ["sever"], status: BAD_ARGUMENTS, message: /unknown command 'sever'[\s\S]*server/ },
  { args: ["get"], status: BAD_ARGUMENTS, message: /missing required argument 'key'/ },
  { args: ["get", "a", "b"], status: BAD_ARGUMENTS, message: /too many arguments/ },
  { args: ["get", "-x"], status: BAD_ARGUMENTS, message: /unknown option '-x'[\s\S]*-- / },
  { args: ["get", "a", "-w", "xml"], status: BAD_ARGUMENTS, message: /xml[\s\S]*simple, json, table/ },
  { args: ["get", "a", "--command-timeout", "banana"], status: BAD_ARGUMENTS, message: /banana/ },
  { args: ["get", "a", "--endpoints", "nowhere:port"], status: BAD_ARGUMENTS, message: /nowhere:port' has the port 'port'/ },
  { args: ["get", "a", "--endpoints", NOBODY], status: 2, message: /no connection to 127\.0\.0\.1:1 \(connection refused\)/ },
  { args: ["put", "a", "b", "--endpoints", NOBODY], status: 2, message: /no connection to 127\.0\.0\.1:1/ },
  { args: ["put", "a", "b", "-w", "json", "--endpoints", NOBODY], status: 2, message: /^\{"error":.*"exitCode":2.*\}$/m },
  { args: ["put", "a", "--endpoints", NOBODY], input: Uint8Array.of(0xff, 0xfe), status: 3, message: /not valid UTF-8/ },
  { args: ["client", "a:b:c"], status: BAD_ARGUMENTS, message: /a:b:c/ },
  { args: ["client", "localhost:8000", "maybe"], status: BAD_ARGUMENTS, message: /'maybe'; allowed is true or false/ },
  { args: ["client", NOBODY], input: "GET a\n", status: 2, message: /line 1: no connection/ },
  { args: ["client", NOBODY], input: "FROB x\n", status: 3, message: /Invalid command\.[\s\S]*GET key, PUT key value, DELETE key/ },
  { args: ["client", NOBODY], input: "PUT a\n", status: 3, message: /Invalid command\. PUT is written: PUT key value/ },
  { args: ["client", NOBODY], input: "PUT a 'b\n", status: 3, message: /Invalid command\./ },
  { args: ["status", "-w", "xml"], status: BAD_ARGUMENTS, message: /xml/ },
  { args: ["up", "0"], status: BAD_ARGUMENTS, message: /0/ },
  { args: ["up", "many"], status: BAD_ARGUMENTS, message: /many/ },
  { args: ["up", "3", "--fail-rate", "2"], status: BAD_ARGUMENTS, message: /fail[-_]rate.*2/ },
  { args: ["up", "3", "--port", "99999"], status: BAD_ARGUMENTS, message: /99999/ },
  { args: ["up", "5", "--port", "9000", "--paxos-port", "9003"], status: BAD_ARGUMENTS, message: /port/ },
];

test(`the other commands refuse wrong input: ${COMMANDS.length} rows`, { timeout: 90_000 }, async (t) => {
  await eachOf(COMMANDS, WIDTH, async (row) => {
    await t.test(row.args.join(" ").slice(0, 70), () => refused(row.args, row));
  });
});

test("a server that nobody answers for is a row of synod status, and the exit status says unhealthy", { timeout: 30_000 }, async () => {
  const result = await synod(["status", "--endpoints", NOBODY]);
  assert.equal(result.status, 5, result.stderr);
  assert.match(result.stdout, /127\.0\.0\.1:1/);
});

test("synod alone prints a helpful screen and succeeds", { timeout: 30_000 }, async () => {
  const result = await synod([]);
  assert.equal(result.status, 0);
  assert.match(result.stdout, /synod up/);
  assert.match(result.stdout, /synod client/);
  assert.equal(result.stderr, "");
});

async function refused(args: readonly string[], row: Omit<Row, "args">): Promise<void> {
  const result = await synod(args, { ...row, cwd: folder });
  assert.equal(result.status, row.status, `exit status; stderr:\n${result.stderr}stdout:\n${result.stdout}`);
  assert.match(result.stderr, row.message);
  assert.doesNotMatch(result.stderr, /\n\s+at .*:\d+:\d+\)?\n/, "no stack for a person's mistake");
}
