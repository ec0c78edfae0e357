/**
 * Tests `synod status` without servers of its own: finding servers through fakes that name each other, the verdict over rows,
 * and how rows look in each format.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { SynodClient } from "../../client/client.js";
import { freePort, startFakeServer } from "../../client/testing/fake-server.js";
import { type MemberSchema, StatusResponseSchema } from "../../gen/admin_pb.js";
import { gatherStatus, type ServerRow } from "./gather.js";
import { judge } from "./health.js";
import { renderStatus, type StatusView } from "./view.js";

type Init = MessageInitShape<typeof StatusResponseSchema>;

const cleanups: Array<() => void> = [];
after(() => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});

function paxos(id: number): string {
  return `10.0.0.${id}:9000`;
}

/** Server `id` of three, as all see it while all is well; `changes` make it otherwise. */
function answer(id: number, changes: Init = {}): Init {
  return {
    version: "1.0.0",
    clientAddress: `10.0.0.${id}:8000`,
    paxosAddress: paxos(id),
    replicaId: BigInt(id),
    clusterId: "c1",
    role: id === 2 ? "coordinator" : "replica",
    ballot: "3.2",
    coordinator: paxos(2),
    decidedSlot: 120n,
    appliedSlot: 120n,
    live: [paxos(1), paxos(2), paxos(3)],
    voters: [1, 2, 3].map((voter) => ({ replicaId: BigInt(voter), paxosAddress: paxos(voter), live: true })),
    members: [1, 2, 3].map((member) => ({
      replicaId: BigInt(member),
      paxosAddress: paxos(member),
      clientAddress: `10.0.0.${member}:8000`,
    })),
    diskBytes: 3n * 1024n * 1024n,
    memoryBytes: 64n * 1024n * 1024n,
    uptimeMs: 61_000n,
    stateHash: "00ff",
    ...changes,
  };
}

function row(id: number, changes: Init = {}): ServerRow {
  const status = create(StatusResponseSchema, answer(id, changes));
  return { endpoint: `10.0.0.${id}:8000`, paxosAddress: paxos(id), replicaId: id, status, error: undefined };
}

function silent(id: number): ServerRow {
  return { endpoint: `10.0.0.${id}:8000`, paxosAddress: paxos(id), replicaId: id, status: undefined, error: "no connection" };
}

const PLAIN: StatusView = { format: "table", columns: undefined, paint: (text) => text };

test("one endpoint finds all servers; those that do not answer are rows; nobody is asked under two names", async () => {
  const gone = await freePort();
  const members: Array<{ replicaId: bigint; paxosAddress: string; clientAddress: string }> = [];
  const asked: string[] = [];
  const fakeAnswer = (id: number) => (): Init => {
    asked.push(String(id));
    return answer(id, { members });
  };
  const one = await startFakeServer({ status: fakeAnswer(1) });
  const two = await startFakeServer({ status: fakeAnswer(2) });
  members.push({ replicaId: 1n, paxosAddress: paxos(1), clientAddress: `localhost:${one.port}` });
  members.push({ replicaId: 2n, paxosAddress: paxos(2), clientAddress: two.endpoint });
  members.push({ replicaId: 3n, paxosAddress: paxos(3), clientAddress: `127.0.0.1:${gone}` });
  members.push({ replicaId: 4n, paxosAddress: paxos(4), clientAddress: "" });
  const client = new SynodClient({ endpoints: [one.endpoint] });
  cleanups.push(() => {
    client.close();
    one.kill();
    two.kill();
  });
  const rows = await gatherStatus(client, [one.endpoint]);
  assert.deepEqual(
    rows.map((found) => [found.replicaId, found.endpoint, found.paxosAddress, found.status !== undefined]),
    [
      [1, one.endpoint, paxos(1), true],
      [2, two.endpoint, paxos(2), true],
      [3, `127.0.0.1:${gone}`, paxos(3), false],
      [4, "", paxos(4), false],
    ],
  );
  assert.match(rows[2]?.error ?? "", /connection refused/);
  assert.equal(rows[3]?.error, "not heard from yet, so its client address is not known");
  assert.deepEqual(asked, ["1", "2"]);
});

test("a server that is no member and gone is missed by nobody; one that knocks is a row", async () => {
  const members: Init["members"] = [
    { replicaId: 7n, paxosAddress: paxos(7), clientAddress: "", kind: "other", live: false },
    { replicaId: 0n, paxosAddress: paxos(8), clientAddress: "", kind: "other", live: true },
  ];
  const fake = await startFakeServer({ status: () => answer(1, { members, voters: [] }) });
  const client = new SynodClient({ endpoints: [fake.endpoint] });
  cleanups.push(() => {
    client.close();
    fake.kill();
  });
  assert.deepEqual(
    (await gatherStatus(client, [fake.endpoint])).map((found) => found.paxosAddress),
    [paxos(1), paxos(8)],
  );
});

/** A server that started again after others had died knows them by its list, and not where their clients went. */
const UNHEARD: Init["members"] = [2, 3].map((id) => ({ replicaId: BigInt(id), paxosAddress: paxos(id), clientAddress: "", kind: "voter" }));

test("a server is counted once where the one that answers does not know its client address", async () => {
  const fake = await startFakeServer({ status: () => answer(1, { members: UNHEARD }) });
  const client = new SynodClient({ endpoints: [fake.endpoint] });
  cleanups.push(() => {
    client.close();
    fake.kill();
  });
  const [second, third] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const rows = await gatherStatus(client, [fake.endpoint, second, third]);
  assert.deepEqual(
    rows.map((found) => [found.replicaId, found.paxosAddress, found.endpoint]),
    [
      [1, paxos(1), fake.endpoint],
      [2, paxos(2), ""],
      [3, paxos(3), ""],
    ],
  );
  assert.match(judge(rows).summary, /1 of 3 servers answer/);
  assert.equal(
    rows[2]?.error,
    `not heard from yet, so its client address is not known; it may be one of ${second}, ${third}, which do not answer either`,
  );
  const fewer = await gatherStatus(client, [fake.endpoint, second]);
  assert.equal(fewer.length, 3);
  assert.match(
    fewer[1]?.error ?? "",
    new RegExp(`; it may be ${second}, of which nobody knows whose it is: no connection to ${second} \\(connection refused\\)`),
  );
});

test("whose endpoint it is: a caller that knows spares the guess", async () => {
  const fake = await startFakeServer({ status: () => answer(1, { members: UNHEARD }) });
  const client = new SynodClient({ endpoints: [fake.endpoint] });
  cleanups.push(() => {
    client.close();
    fake.kill();
  });
  const third = `127.0.0.1:${await freePort()}`;
  const rows = await gatherStatus(client, [fake.endpoint, third], new Map([[third, paxos(3)]]));
  assert.deepEqual(
    rows.map((found) => [found.replicaId, found.paxosAddress, found.endpoint]),
    [
      [1, paxos(1), fake.endpoint],
      [2, paxos(2), ""],
      [3, paxos(3), third],
    ],
  );
  assert.equal(rows[1]?.error, "not heard from yet, so its client address is not known");
  assert.match(rows[2]?.error ?? "", /connection refused/);
});

test("an endpoint that is nobody's is a row where every member is known", async () => {
  const fake = await startFakeServer({ status: () => answer(1, { members: [], voters: [] }) });
  const client = new SynodClient({ endpoints: [fake.endpoint] });
  cleanups.push(() => {
    client.close();
    fake.kill();
  });
  const stray = `127.0.0.1:${await freePort()}`;
  assert.deepEqual(
    (await gatherStatus(client, [fake.endpoint, stray])).map((found) => found.endpoint),
    [fake.endpoint, stray],
  );
});

/** The coordinator's view where replica 3 is no voter; 2 breaks ties. */
function without3(third: MessageInitShape<typeof MemberSchema>, changes: Omit<Init, "$typeName" | "$unknown"> = {}): ServerRow {
  const voters = [1, 2].map((id) => ({ replicaId: BigInt(id), paxosAddress: paxos(id), live: true }));
  const members = [
    ...voters.map((voter) => ({ ...voter, kind: "voter", electable: true, lag: 0n })),
    { replicaId: 3n, paxosAddress: paxos(3), kind: "observer", ...third },
  ];
  return row(2, {
    voters,
    members,
    configuration: { epoch: 4n, slot: 99n, tieBreak: 2n, settled: true },
    removeAfterMs: 5000n,
    ...changes,
  });
}

const SETTLED = "configuration 4 of slot 99, settled: voters 1 2* (* breaks ties)";

const MEMBERSHIPS: ReadonlyArray<readonly [what: string, coordinator: ServerRow, state: string, members: readonly string[]]> = [
  [
    "it lost its vote",
    without3({ electable: true }),
    "degraded",
    [SETTLED, "observer 3 (10.0.0.3:9000): has no vote; votes by itself once it is back and keeps up"],
  ],
  [
    "it catches up",
    without3({ electable: true, live: true, lag: 12n }),
    "degraded",
    [SETTLED, "observer 3 (10.0.0.3:9000): votes by itself once it keeps up (lacks 12 slots)"],
  ],
  [
    "it is to observe",
    without3({ live: true, lag: 0n }),
    "healthy",
    [SETTLED, "observer 3 (10.0.0.3:9000): has no vote; synod member promote 3 gives it one (lacks 0 slots)"],
  ],
  [
    "the autopilot is off",
    without3({ electable: true, live: true }, { removeAfterMs: 0n }),
    "healthy",
    [SETTLED, "observer 3 (10.0.0.3:9000): has no vote; synod member promote 3 gives it one"],
  ],
  [
    "not settled",
    without3({ live: true }, { configuration: { epoch: 4n, slot: 99n, tieBreak: 2n, settled: false, unsettled: [1n] } }),
    "degraded",
    [
      "configuration 4 of slot 99, not settled: 1 (10.0.0.1:9000) must have it on disk first: voters 1 2* (* breaks ties)",
      "observer 3 (10.0.0.3:9000): has no vote; synod member promote 3 gives it one",
    ],
  ],
];

for (const [what, coordinator, state, members] of MEMBERSHIPS) {
  test(`members: ${what}`, () => {
    const health = judge([row(1), coordinator, row(3)]);
    assert.deepEqual([health.state, health.members], [state, members]);
    assert.ok(renderStatus([coordinator], health, PLAIN).includes(`  ${members[0]}\n`));
  });
}

test("a lost disk that still votes is not shown as the server that took its address", () => {
  const voters = [1, 2, 3].map((id) => ({ replicaId: BigInt(id), paxosAddress: paxos(id), live: id !== 3 }));
  const members = [
    ...voters.map((voter) => ({ ...voter, kind: "voter" })),
    { replicaId: 4n, paxosAddress: paxos(3), kind: "observer", live: true },
  ];
  const rows = [row(2, { voters, members })];
  const [line = ""] = renderStatus(rows, judge(rows), { ...PLAIN, format: "simple" }).split("\n");
  assert.match(line, /, 1 2 4, 1 2 3, /, "who answers, then who votes");
});

test("members: one voter that is left is said loudly, unless the cluster never had another", () => {
  const voters = [{ replicaId: 2n, paxosAddress: paxos(2), live: true }];
  const summary = (epoch: bigint): string => judge([row(2, { voters, configuration: { epoch, tieBreak: 2n, settled: true } })]).summary;
  assert.match(summary(4n), /ONE VOTER IS LEFT: every write is on one disk$/);
  assert.match(summary(1n), /no further server may fail$/);
});

test("a server given under an address that others do not announce is one row", async () => {
  const fake = await startFakeServer({
    status: () => answer(1, { members: [{ replicaId: 1n, paxosAddress: paxos(1), clientAddress: "10.9.9.9:8000" }], voters: [] }),
  });
  const client = new SynodClient({ endpoints: [fake.endpoint] });
  cleanups.push(() => {
    client.close();
    fake.kill();
  });
  assert.equal((await gatherStatus(client, [fake.endpoint])).length, 1);
});

const BLOCKED = "needs 2 of 3 servers; waiting for 10.0.0.2:9000 and 10.0.0.3:9000";
const downVoters = [1, 2, 3].map((id) => ({ replicaId: BigInt(id), paxosAddress: paxos(id), live: id !== 3 }));

const VERDICTS: ReadonlyArray<
  readonly [what: string, rows: readonly ServerRow[], state: string, summary: string, notes: readonly string[]]
> = [
  ["all well", [row(1), row(2), row(3)], "healthy", "healthy: 3 of 3 servers answer, 10.0.0.2:9000 coordinates; 1 more may fail", []],
  [
    "one down",
    [row(1, { voters: downVoters }), row(2, { voters: downVoters }), silent(3)],
    "degraded",
    "degraded: 2 of 3 servers answer, 10.0.0.2:9000 coordinates; no further server may fail",
    ["10.0.0.3:8000: no connection"],
  ],
  [
    "no quorum",
    [row(1, { role: "candidate", coordinator: "", blocked: BLOCKED }), silent(2), silent(3)],
    "blocked",
    "blocked: 1 of 3 servers answers; no coordinator".replace("answers", "answer"),
    ["10.0.0.2:8000: no connection", "10.0.0.3:8000: no connection", `10.0.0.1:8000: ${BLOCKED}`],
  ],
  [
    "nobody",
    [silent(1)],
    "blocked",
    "blocked: 0 of 1 server answers",
    ["10.0.0.1:8000: no connection", "name others with --endpoints: none of those asked says anything of the cluster"],
  ],
  [
    "founding",
    [
      row(1, { role: "founding", coordinator: "", blocked: "1 of 3 servers have said hello" }),
      row(2, { role: "founding", coordinator: "", blocked: "1 of 3 servers have said hello" }),
    ],
    "blocked",
    "blocked: 2 of 2 servers answer; the cluster is being founded",
    ["10.0.0.1:8000, 10.0.0.2:8000: 1 of 3 servers have said hello"],
  ],
  [
    "warnings alone are healthy",
    [row(1, { warnings: ["disk is slow"] }), row(2), row(3)],
    "healthy",
    "healthy: 3 of 3 servers answer, 10.0.0.2:9000 coordinates; 1 more may fail",
    ["10.0.0.1:8000: warning: disk is slow"],
  ],
  [
    "a warning that is what blocks is told once",
    [row(1, { role: "replica", coordinator: "", blocked: BLOCKED, warnings: [BLOCKED, "disk is slow"] }), row(2), row(3)],
    "degraded",
    "degraded: 3 of 3 servers answer, 10.0.0.2:9000 coordinates; 1 more may fail",
    [`10.0.0.1:8000: ${BLOCKED}`, "10.0.0.1:8000: warning: disk is slow"],
  ],
  [
    "different data",
    [row(1, { stateHash: "0bad" }), row(2), row(3)],
    "degraded",
    "degraded: 3 of 3 servers answer, 10.0.0.2:9000 coordinates; 1 more may fail",
    [
      "DIFFERENT DATA: 10.0.0.1:8000 and 10.0.0.2:8000 applied slot 120 and hold different states; stop writing and keep both data directories",
    ],
  ],
  [
    "two clusters",
    [row(1, { clusterId: "c2" }), row(2), row(3)],
    "degraded",
    "degraded: 3 of 3 servers answer, 10.0.0.2:9000 coordinates; 1 more may fail",
    ["the servers belong to 2 different clusters: c2, c1"],
  ],
];

for (const [what, rows, state, summary, notes] of VERDICTS) {
  test(`verdict: ${what}`, () => {
    const { members: _, ...verdict } = judge(rows);
    assert.deepEqual(verdict, { state, summary, notes });
  });
}

test("the table", () => {
  const rows = [row(1, { lag: 4n, appliedSlot: 116n, stateHash: "" }), row(2), silent(3)];
  assert.equal(
    renderStatus(rows, judge(rows), PLAIN),
    [
      "ID  ENDPOINT       PAXOS          ROLE         BALLOT  COORDINATOR    DECIDED  APPLIED  LAG  LIVE   VOTERS   DISK  MEMORY   UPTIME",
      " 1  10.0.0.1:8000  10.0.0.1:9000  replica      3.2     10.0.0.2:9000      120      116    4  1 2 3  1 2 3   3 MiB  64 MiB  1 m 1 s",
      " 2  10.0.0.2:8000  10.0.0.2:9000  coordinator  3.2     10.0.0.2:9000      120      120    0  1 2 3  1 2 3   3 MiB  64 MiB  1 m 1 s",
      " 3  10.0.0.3:8000  10.0.0.3:9000  no answer    -       -                    -        -    -  -      -           -       -        -",
      "",
      "degraded: 2 of 3 servers answer, 10.0.0.2:9000 coordinates; 1 more may fail",
      "  10.0.0.3:8000: no connection",
      "",
    ].join("\n"),
  );
});

test("two tables where the terminal is narrower than one", () => {
  const rows = [row(1), silent(3)];
  const text = renderStatus(rows, judge(rows), { ...PLAIN, columns: 80 });
  assert.ok(
    text.startsWith(
      [
        "ID  ENDPOINT       PAXOS          ROLE       BALLOT  COORDINATOR",
        " 1  10.0.0.1:8000  10.0.0.1:9000  replica    3.2     10.0.0.2:9000",
        " 3  10.0.0.3:8000  10.0.0.3:9000  no answer  -       -",
        "",
        "ID  DECIDED  APPLIED  LAG  LIVE   VOTERS   DISK  MEMORY   UPTIME",
        " 1      120      120    0  1 2 3  1 2 3   3 MiB  64 MiB  1 m 1 s",
        " 3        -        -    -  -      -           -       -        -",
        "",
        "blocked: 1 of 2 servers answer",
      ].join("\n"),
    ),
    text,
  );
});

test("blocks where even half a table is too wide", () => {
  const text = renderStatus([row(1)], judge([row(1)]), { ...PLAIN, columns: 50 });
  assert.match(text, /^id {11}1\nendpoint {5}10\.0\.0\.1:8000\n/);
  assert.ok(text.split("\n").every((line) => line.length <= 50));
});

test("simple: one line a server, commas between", () => {
  const rows = [row(2), silent(3)];
  assert.equal(
    renderStatus(rows, judge(rows), { ...PLAIN, format: "simple" }),
    "2, 10.0.0.2:8000, 10.0.0.2:9000, coordinator, 3.2, 10.0.0.2:9000, 120, 120, 0, 1 2 3, 1 2 3, 3 MiB, 64 MiB, 1 m 1 s\n" +
      "3, 10.0.0.3:8000, 10.0.0.3:9000, no answer, -, -, -, -, -, -, -, -, -, -\n",
  );
});

test("json: numbers are numbers, silent servers have their error", () => {
  const rows = [row(2), silent(3)];
  const parsed = JSON.parse(renderStatus(rows, judge(rows), { ...PLAIN, format: "json" }));
  assert.equal(parsed.state, "degraded");
  assert.deepEqual(
    [parsed.servers[0].decidedSlot, parsed.servers[0].voters[2]],
    [120, { replicaId: 3, paxosAddress: paxos(3), live: true }],
  );
  assert.deepEqual(parsed.servers[1], { endpoint: "10.0.0.3:8000", paxosAddress: paxos(3), answers: false, error: "no connection" });
});
