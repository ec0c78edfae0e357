/**
 * Tests how a server's configuration comes together: the order of the layers, every kind of wrong value with its exact message
 * and hint, what spellings of addresses mean, and that what is shown can be read again.
 */
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { renderShown } from "../commands/config-show.js";
import { startFailure } from "../commands/server.js";
import { CliError } from "../errors.js";
import type { Environment, Flags } from "../flags.js";
import { readSources } from "./read-sources.js";
import { resolveServerConfig, showSettings } from "./server-config.js";

type Input = { readonly text?: string; readonly flags?: Flags; readonly env?: Environment };

function resolve({ text, flags = {}, env = {} }: Input) {
  return resolveServerConfig({ ...readSources(text, flags, env), version: "1.2.3", workingDir: "/w" });
}

function refusal(input: Input): string {
  try {
    resolve(input);
  } catch (error) {
    assert.ok(error instanceof CliError, String(error));
    assert.equal(error.exitCode, 128);
    return `${error.message} | ${error.hint}`;
  }
  return assert.fail("it was taken");
}

const THREE =
  "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000' replica:'127.0.0.1:9000' replica:'127.0.0.1:9001' replica:'127.0.0.1:9002'";

function temporaryFile(name: string, text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "synod-config-")), name);
  writeFileSync(path, text);
  return path;
}

test("defaults", () => {
  const { config } = resolve({ text: THREE });
  assert.deepEqual(config, {
    version: "1.2.3",
    clientListen: { host: "127.0.0.1", port: 8000 },
    clientAddress: "127.0.0.1:8000",
    paxosListen: { host: "127.0.0.1", port: 9000 },
    paxosAddress: "127.0.0.1:9000",
    replicas: ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"],
    warnings: [],
    failRate: 0,
    dataDir: "/w/synod-data/127.0.0.1_9000",
    logLevel: "info",
    logFormat: "auto",
    pingMs: 100,
    grantMs: 600,
    suspectMs: 600,
    requestTimeoutMs: 5000,
    maxKeyBytes: 4096,
    maxRequestBytes: 1_572_864,
    batchMaxBytes: 1_048_576,
    batchMaxCommands: 1000,
    windowSlots: 64,
    windowBytes: 8_388_608,
    quotaBytes: 2_147_483_648,
    historyMaxAgeMs: 600_000,
    historyMaxBytes: 268_435_456,
    segmentBytes: 16_777_216,
    snapshotEverySlots: 100_000,
    snapshotEveryBytes: 134_217_728,
    keepSlots: 10_000,
    keepBytes: 67_108_864,
    removeAfterMs: 5000,
    stableMs: 3000,
    minVoters: 1,
    join: [],
    electable: true,
    maxConnections: 10_000,
    drainMs: 5000,
  });
});

const JOINER = "my_addr:'10.0.0.4:8000' my_paxos:'10.0.0.4:9000'";

test("a server that joins needs no list: it is its own, and join says whom it asks", () => {
  const { config } = resolve({ text: `${JOINER} join:'10.0.0.2:9000' join:'10.0.0.1:9000' electable:false` });
  assert.deepEqual([config.replicas, config.join, config.electable], [["10.0.0.4:9000"], ["10.0.0.2:9000", "10.0.0.1:9000"], false]);
  const expected = { ...config, electable: true };
  assert.deepEqual(resolve({ text: JOINER, flags: { join: ["10.0.0.2:9000,10.0.0.1:9000"] } }).config, expected);
  assert.deepEqual(
    resolve({ text: JOINER, env: { SYNOD_JOIN: "10.0.0.2:9000, 10.0.0.1:9000", SYNOD_ELECTABLE: "true" } }).config,
    expected,
  );
  const file = temporaryFile("join.json", JSON.stringify({ join: ["10.0.0.2:9000", "10.0.0.1:9000"], electable: false }));
  assert.deepEqual(resolve({ text: JOINER, flags: { config: file } }).config, config);
});

test("join: what is refused, and what to do", () => {
  const cases: ReadonlyArray<readonly [text: string, refused: RegExp]> = [
    [
      `${JOINER} join:'10.0.0.1:9000' replica:'10.0.0.4:9000'`,
      /replica \(argument .*\) and join \(argument .*\) are both given.*leaving out replica/,
    ],
    [`${JOINER} join:'10.0.0.4:9000'`, /join '10.0.0.4:9000' .* is this server's own my_paxos.*running server/],
    [`${JOINER} join:'10.0.0.1:9000' join:'10.0.0.1:9000'`, /join '10.0.0.1:9000' is listed twice/],
    [`${JOINER} join:'10.0.0.1'`, /join '10.0.0.1' .*allowed is.*join:'127.0.0.1:9000'/],
    [`${JOINER} join:9000`, /join .* is '?9000'?; allowed is one host:port in quotes .* join:'127.0.0.1:9000'/],
    [
      "my_addr:'0.0.0.0:8000' my_paxos:'0.0.0.0:9001' join:'10.0.0.1:9000'",
      /known to other servers as 127.0.0.1:9001.*this machine's address/,
    ],
    [`${JOINER} join:'10.0.0.1:9000' electable:maybe`, /electable .* is 'maybe'; allowed is true, false/],
    [JOINER, /replica is missing: .*or join in place of replica to add this server/],
  ];
  for (const [text, refused] of cases) {
    assert.match(refusal({ text }), refused);
  }
});

test("layers: flag over argument over environment over file over default, each with its origin", () => {
  const file = temporaryFile("synod.conf", "ping_ms: 11 grant_ms: 1200 keep_slots: 5 log_level: 'warn'\n# end\n");
  const input = {
    text: `${THREE} ping_ms:13 grant_ms:1300`,
    flags: { config: file, pingMs: "14" },
    env: { SYNOD_PING_MS: "12", SYNOD_GRANT_MS: "1250ms", SYNOD_KEEP_SLOTS: "6", SYNOD_SUSPECT_MS: "0.7s" },
  };
  const { config, shown } = resolve(input);
  assert.deepEqual(
    [config.pingMs, config.grantMs, config.keepSlots, config.suspectMs, config.logLevel, config.keepBytes],
    [14, 1300, 6, 700, "warn", 67_108_864],
  );
  const origins = new Map(shown.map((one) => [one.setting.name, `${one.origin.layer} ${one.origin.where}`]));
  assert.equal(origins.get("ping_ms"), "flag --ping-ms");
  assert.equal(origins.get("grant_ms"), "argument argument 1:147");
  assert.equal(origins.get("keep_slots"), "environment SYNOD_KEEP_SLOTS");
  assert.equal(origins.get("log_level"), `file ${file} 1:53`);
  assert.equal(origins.get("keep_bytes"), "default default");
});

test("a stronger layer's list of replicas replaces the weaker one's", () => {
  const { config } = resolve({ text: THREE, flags: { replica: ["127.0.0.1:9000", "127.0.0.1:9005,127.0.0.1:9004"] } });
  assert.deepEqual(config.replicas, ["127.0.0.1:9000", "127.0.0.1:9004", "127.0.0.1:9005"]);
});

test("everything can come from the environment, a JSON file or flags", () => {
  const expected = resolve({ text: `${THREE} fail_rate:0.3` }).config;
  const env = {
    SYNOD_MY_ADDR: "127.0.0.1:8000",
    SYNOD_MY_PAXOS: "127.0.0.1:9000",
    SYNOD_REPLICA: "127.0.0.1:9000,127.0.0.1:9001, 127.0.0.1:9002",
    SYNOD_FAIL_RATE: "0.3",
  };
  assert.deepEqual(resolve({ env }).config, expected);
  const json = {
    my_addr: "127.0.0.1:8000",
    my_paxos: "127.0.0.1:9000",
    replica: ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"],
    fail_rate: 0.3,
  };
  assert.deepEqual(resolve({ env: { SYNOD_CONFIG: temporaryFile("c.json", JSON.stringify(json)) } }).config, expected);
  const flags = {
    myAddr: "127.0.0.1:8000",
    myPaxos: "127.0.0.1:9000",
    replica: ["127.0.0.1:9000,127.0.0.1:9001,127.0.0.1:9002"],
    failRate: "0.3",
  };
  assert.deepEqual(resolve({ flags }).config, expected);
});

test("what config show prints as text is read back as the same configuration", () => {
  const input = { text: `${THREE} fail_rate:0.25 data_dir:'/d/it\\'s' log_format: json quota_bytes:'64MiB'` };
  const text = renderShown(showSettings(readSources(input.text, {}, {}).layers, "/w"), "text");
  assert.deepEqual(resolve({ text }).config, resolve(input).config);
});

test("a port that this user may not use is told by its setting, as a server that could not start", () => {
  const { config } = resolve({ text: THREE.replace("127.0.0.1:8000", "127.0.0.1:80") });
  const listening = Object.assign(new Error("listen EACCES: permission denied 127.0.0.1:80"), { code: "EACCES", port: 80 });
  const failure = startFailure(listening, config);
  assert.ok(failure instanceof CliError);
  assert.deepEqual(
    [failure.message, failure.hint, failure.exitCode],
    ["my_addr 127.0.0.1:80 may not be used by this user", "a port above 1023", 1],
  );
});

test("spellings of loopback mean one server, and differing ones are warned of", () => {
  const { config } = resolve({ text: "my_addr:'0.0.0.0:8000' my_paxos:'0.0.0.0:9000' replica:'localhost:9001' replica:'localhost:9000'" });
  assert.deepEqual(config.replicas, ["127.0.0.1:9000", "127.0.0.1:9001"]);
  assert.deepEqual([config.paxosAddress, config.paxosListen.host, config.clientAddress], ["127.0.0.1:9000", "0.0.0.0", "127.0.0.1:8000"]);
  assert.deepEqual(config.warnings, [
    "my_addr '0.0.0.0:8000' and my_paxos '0.0.0.0:9000' listen on every interface of this machine, without TLS or passwords: whoever reaches it can read and write; in the list of replicas it stands for 127.0.0.1:9000, so all servers must run on this machine",
    "my_paxos '0.0.0.0:9000' is taken to be replica 'localhost:9000': both are dialled as 127.0.0.1:9000; write one spelling in both places",
  ]);
});

test("on a network a my_addr of every interface is announced under the host of my_paxos", () => {
  const { config } = resolve({
    text: "my_addr:'0.0.0.0:8000' my_paxos:'10.0.0.1:9000' replica:'10.0.0.1:9000' replica:'[2001:db8::2]:9000'",
  });
  assert.equal(config.clientAddress, "10.0.0.1:8000");
  assert.deepEqual(config.clientListen, { host: "0.0.0.0", port: 8000 });
});

test("unwise intervals are warned of", () => {
  const { config } = resolve({ text: `${THREE} ping_ms:300 grant_ms:500` });
  assert.deepEqual(config.warnings, [
    "suspect_ms 600 is less than three times ping_ms 300: two lost Pings make a working server suspected",
    "grant_ms 500 is less than suspect_ms 600: a working coordinator may be deposed",
  ]);
});

test("a variable that is nearly a setting is warned of", () => {
  const { config } = resolve({ text: THREE, env: { SYNOD_FAILRATE: "1", SYNOD_ENDPOINTS: "a:1", OTHER: "x" } });
  assert.deepEqual(config.warnings, [
    "the environment variable SYNOD_FAILRATE is not a setting and is ignored; did you mean SYNOD_FAIL_RATE?",
  ]);
});

const ADDRESS_FORM = "host:port, such as 127.0.0.1:9000, localhost:9000, [::1]:9000 or db1.example.org:9000";
const REPLICAS = "replica:'127.0.0.1:9000' replica:'127.0.0.1:9001'";
const ADDRESSES = "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000'";
const START_HINT = `synod server "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000' replica:'127.0.0.1:9000'", or synod up for several servers at once`;
const MS = (max: number, min: number): string =>
  `whole milliseconds from ${min} to ${max}, or a duration in quotes such as '500ms' or '2s'`;

const WRONG: ReadonlyArray<readonly [what: string, input: Input, message: string]> = [
  ["nothing", {}, `my_addr is missing: where clients connect; 0.0.0.0 is every interface | ${START_HINT}`],
  [
    "no my_paxos",
    { text: "my_addr:'127.0.0.1:8000'" },
    `my_paxos is missing: where the other servers connect; the name of this server in every list | ${START_HINT}`,
  ],
  [
    "no replica",
    { text: ADDRESSES },
    `replica is missing: my_paxos of every server that founds the cluster, this one included; once for each (required, or join) | ${START_HINT}, or join in place of replica to add this server to a running cluster`,
  ],
  [
    "an empty list",
    { text: `${ADDRESSES} replica:[]` },
    `replica is missing: my_paxos of every server that founds the cluster, this one included; once for each (required, or join) | ${START_HINT}, or join in place of replica to add this server to a running cluster`,
  ],
  [
    "my_paxos not among the replicas",
    { text: `my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9005' ${REPLICAS}` },
    "my_paxos '127.0.0.1:9005' is not among the replicas ('127.0.0.1:9000', '127.0.0.1:9001'); allowed is one of them | adding replica:'127.0.0.1:9005' to the list of every server",
  ],
  [
    "another host in my_paxos",
    { text: "my_addr:'10.0.0.2:8000' my_paxos:'10.0.0.2:9000' replica:'10.0.0.1:9000'" },
    "my_paxos '10.0.0.2:9000' is not among the replicas ('10.0.0.1:9000'); allowed is one of them | my_paxos:'10.0.0.1:9000'",
  ],
  [
    "0.0.0.0 for a server of a network",
    { text: "my_addr:'0.0.0.0:8000' my_paxos:'0.0.0.0:9000' replica:'10.0.0.1:9000' replica:'10.0.0.2:9000'" },
    "my_paxos '0.0.0.0:9000' is known to other servers as 127.0.0.1:9000, which is not among the replicas ('10.0.0.1:9000', '10.0.0.2:9000'); 0.0.0.0 is no address that others can dial | my_paxos:'10.0.0.1:9000', the address by which the others reach this server",
  ],
  [
    "a replica twice",
    { text: `${ADDRESSES} ${REPLICAS} replica:'127.0.0.1:9001'` },
    "replica '127.0.0.1:9001' is listed twice (argument 1:85, then argument 1:110); allowed is each server once | leaving out one of them",
  ],
  [
    "a replica under two names",
    { text: `${ADDRESSES} replica:'0.0.0.0:9000' replica:'localhost:9000'` },
    "replica '0.0.0.0:9000' and replica 'localhost:9000' are the same server, 127.0.0.1:9000 (localhost, 0.0.0.0 and 127.0.0.1 are all dialled as loopback); allowed is each server once | leaving out one of them, and one spelling for all",
  ],
  [
    "loopback and a network in one list",
    { text: `${ADDRESSES} replica:'127.0.0.1:9000' replica:'10.0.0.2:9000'` },
    "replica '127.0.0.1:9000' is dialled as 127.0.0.1:9000, by every server on its own machine, while replica '10.0.0.2:9000' is on a network; allowed is one kind for all | an address that every server can dial for each replica",
  ],
  [
    "one port for both",
    { text: "my_addr:'127.0.0.1:9000' my_paxos:'127.0.0.1:9000' replica:'127.0.0.1:9000'" },
    "my_addr '127.0.0.1:9000' and my_paxos '127.0.0.1:9000' are the same address; clients and servers need a port each | another port for one of them, such as my_addr:'127.0.0.1:8000'",
  ],
  [
    "one port on every interface",
    { text: "my_addr:'0.0.0.0:9000' my_paxos:'10.0.0.1:9000' replica:'10.0.0.1:9000'" },
    "my_addr '0.0.0.0:9000' and my_paxos '10.0.0.1:9000' are the same address; clients and servers need a port each | another port for one of them, such as my_addr:'0.0.0.0:8000'",
  ],
  [
    "no port",
    { text: `my_addr:'localhost' my_paxos:'127.0.0.1:9000' ${REPLICAS}` },
    `my_addr 'localhost' has no port (argument 1:9); allowed is ${ADDRESS_FORM} | my_addr:'127.0.0.1:8000'`,
  ],
  [
    "port 0",
    { text: `${ADDRESSES} replica:'127.0.0.1:0'` },
    "replica '127.0.0.1:0' has the port '0' (argument 1:60); allowed is a port from 1 to 65535 | replica:'127.0.0.1:9000'",
  ],
  [
    "port 65536",
    { text: `my_addr:'localhost:65536' my_paxos:'127.0.0.1:9000' ${REPLICAS}` },
    "my_addr 'localhost:65536' has the port '65536' (argument 1:9); allowed is a port from 1 to 65535 | my_addr:'127.0.0.1:8000'",
  ],
  [
    "a URL",
    { text: `my_addr:'http://localhost:8000' my_paxos:'127.0.0.1:9000' ${REPLICAS}` },
    `my_addr 'http://localhost:8000' begins with http://, which is not part of an address here (argument 1:9); allowed is ${ADDRESS_FORM} | my_addr:'127.0.0.1:8000'`,
  ],
  [
    "bare IPv6",
    { text: `my_addr:'::1:8000' my_paxos:'127.0.0.1:9000' ${REPLICAS}` },
    `my_addr '::1:8000' has more than one colon: IPv6 goes in brackets (argument 1:9); allowed is ${ADDRESS_FORM} | my_addr:'127.0.0.1:8000'`,
  ],
  [
    "a number for an address",
    { text: `my_addr:8000 my_paxos:'127.0.0.1:9000' ${REPLICAS}` },
    "my_addr (argument 1:9) is '8000'; allowed is host:port in quotes, such as '127.0.0.1:9000', 'localhost:9000', '0.0.0.0:9000' or '[::1]:9000' | my_addr:'127.0.0.1:8000'",
  ],
  [
    "a word for an address",
    { text: "my_addr:localhost" },
    "my_addr (argument 1:9) is the word localhost; it takes text in quotes | my_addr:'localhost'",
  ],
  [
    "an address without quotes",
    { text: "my_addr:0.0.0.0:8000" },
    `my_addr: '0.0.0.0:8000' is neither a number nor a word; text goes in quotes: my_addr:'0.0.0.0:8000' (argument 1:9) | the whole argument in double quotes, each text in single quotes: synod server "my_addr:'127.0.0.1:8000' ..."`,
  ],
  [
    "an address twice",
    { text: "my_addr:'a:1' my_addr:'a:2'" },
    "my_addr is given twice (argument 1:9, then argument 1:15); it takes one value | leaving out one of them",
  ],
  [
    "a list for one address",
    { text: "my_addr:['a:1']" },
    "my_addr (argument 1:1) is a list; it takes one value | my_addr:'127.0.0.1:8000'",
  ],
  [
    "a message for an address",
    { text: "my_addr {host:'a'}" },
    "my_addr (argument 1:9) is a message in braces; it takes a plain value | my_addr:'127.0.0.1:8000'",
  ],
  [
    "fail_rate 1",
    { text: `${THREE} fail_rate:1` },
    "fail_rate (argument 1:137) is 1; allowed is a number from 0 up to but not including 1 | fail_rate:0.3",
  ],
  [
    "fail_rate below 0",
    { text: `${THREE} fail_rate:-0.1` },
    "fail_rate (argument 1:137) is -0.1; allowed is a number from 0 up to but not including 1 | fail_rate:0.3",
  ],
  [
    "fail_rate nan",
    { text: `${THREE} fail_rate:nan` },
    "fail_rate (argument 1:137) is NaN; allowed is a number from 0 up to but not including 1 | fail_rate:0.3",
  ],
  [
    "fail_rate a word",
    { text: `${THREE} fail_rate:high` },
    "fail_rate (argument 1:137) is the word high; it takes a number | fail_rate:0.3",
  ],
  [
    "fail_rate in percent",
    { text: THREE, flags: { failRate: "30%" } },
    "fail_rate (--fail-rate) is '30%'; allowed is a number from 0 up to but not including 1 | --fail-rate=0.3",
  ],
  ["an unknown field", { text: "my_adr:'x'" }, "unknown field 'my_adr' (argument 1:1) | my_addr, if that is what you meant"],
  ["an old name", { text: "failRate:0.3" }, "unknown field 'failRate' (argument 1:1) | fail_rate, if that is what you meant"],
  [
    "a dashed name",
    { text: "data-dir:'x'" },
    `'data-dir' is not a field name: letters, digits and _ only (argument 1:1) | protobuf text format: name:value name:'text' ...`,
  ],
  ["ping_ms 0", { text: `${THREE} ping_ms:0` }, `ping_ms (argument 1:135) is 0; allowed is ${MS(60000, 10)} | ping_ms:100`],
  ["ping_ms broken", { text: `${THREE} ping_ms:10.5` }, `ping_ms (argument 1:135) is 10.5; allowed is ${MS(60000, 10)} | ping_ms:100`],
  [
    "ping_ms with a strange unit",
    { text: `${THREE} ping_ms:'2 days'` },
    `ping_ms (argument 1:135) is '2 days'; allowed is ${MS(60000, 10)} | ping_ms:100`,
  ],
  [
    "grant_ms from the environment",
    { text: THREE, env: { SYNOD_GRANT_MS: "soon" } },
    `grant_ms (SYNOD_GRANT_MS) is 'soon'; allowed is ${MS(600000, 50)} | SYNOD_GRANT_MS=600`,
  ],
  [
    "a size that is none",
    { text: `${THREE} quota_bytes:'lots'` },
    "quota_bytes (argument 1:139) is 'lots'; allowed is a whole number of bytes from 65536 to 1099511627776, or a size in quotes such as '64KiB' or '1.5MiB' | quota_bytes:2147483648",
  ],
  [
    "a count below its range",
    { text: `${THREE} window_slots:0` },
    "window_slots (argument 1:140) is 0; allowed is a whole number from 1 to 4096 | window_slots:64",
  ],
  [
    "a log level that is none",
    { text: `${THREE} log_level:'loud'` },
    "log_level (argument 1:137) is 'loud'; allowed is fatal, error, warn, info, debug, trace | log_level:'info'",
  ],
  [
    "a log format that is none",
    { text: THREE, flags: { logFormat: "xml" } },
    "log_format (--log-format) is 'xml'; allowed is auto, json, pretty | --log-format=json",
  ],
  [
    "an empty data_dir",
    { text: `${THREE} data_dir:''` },
    "data_dir (argument 1:136) is ''; allowed is a path in quotes, not empty | data_dir:'./synod-data/one'",
  ],
  [
    "a key larger than a request",
    { text: `${THREE} max_request_bytes:1024` },
    "max_key_bytes is 4096, more than max_request_bytes 1024; allowed is at most the request that carries the key | max_request_bytes:8192",
  ],
  [
    "segments too small for a batch",
    { text: `${THREE} segment_bytes:'1MiB'` },
    "segment_bytes is 1048576; allowed is at least twice the larger of batch_max_bytes 1048576 and max_request_bytes 1572864 | segment_bytes:3145728",
  ],
  [
    "a window too small for a batch",
    { text: `${THREE} window_bytes:1024` },
    "window_bytes is 1024; allowed is at least the larger of batch_max_bytes 1048576 and max_request_bytes 1572864 | window_bytes:1572864",
  ],
  [
    "a file that is not there",
    { flags: { config: "/nowhere/x" } },
    "the configuration file '/nowhere/x' (--config) cannot be read: ENOENT | a path to a file in text format or JSON",
  ],
];

for (const [what, input, message] of WRONG) {
  test(`refused: ${what}`, () => {
    assert.equal(refusal(input), message);
  });
}

test("refused: a JSON file with mistakes", () => {
  const file = (text: string): Input => ({ flags: { config: temporaryFile("c.json", text) } });
  assert.match(refusal(file("{")), /c\.json is not valid JSON: .* \| correcting the file$/);
  assert.match(refusal(file('{"replicas":[]}')), /^unknown field 'replicas' \(.*c\.json\) \| replica, if that is what you meant$/);
  assert.match(refusal(file('{"ping_ms":true}')), /^ping_ms \(.*c\.json\) is true; it takes text or a number \| "ping_ms": 100$/);
});

test("refused: more replicas than are allowed", () => {
  const many = Array.from({ length: 65 }, (_, i) => `replica:'127.0.0.1:${9000 + i}'`).join(" ");
  assert.match(refusal({ text: `${ADDRESSES} ${many}` }), /^replica is given 65 times; allowed are at most 64 servers/);
});
