/** Tests how members are named, shown and awaited, against views and fakes: which name means whom, what is refused, what is told to type. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { FakeFailure, startFakeServer } from "../../client/testing/fake-server.js";
import { type MemberSchema, StatusResponseSchema } from "../../gen/admin_pb.js";
import { CliError } from "../errors.js";
import { arrive, joinCommand, newAddress } from "./arrive.js";
import { findMember, idOf, isNobody } from "./names.js";
import { Operator } from "./operator.js";
import { renderChange, renderMembers } from "./view.js";

type MemberInit = MessageInitShape<typeof MemberSchema>;

const cleanups: Array<() => void> = [];
after(() => {
  for (const cleanup of cleanups) {
    cleanup();
  }
});

function member(id: number, changes: MemberInit = {}): MemberInit {
  const [paxosAddress, clientAddress] = [`10.0.0.${id}:9000`, `10.0.0.${id}:8000`];
  return { replicaId: BigInt(id), paxosAddress, clientAddress, kind: "voter", electable: true, live: true, lag: 0n, ...changes };
}

/** Three voters, and 5 that took the place of the disk of 3. */
const MEMBERS: readonly MemberInit[] = [
  member(1),
  member(2),
  member(3, { live: false, clientAddress: "" }),
  member(5, { paxosAddress: "10.0.0.3:9000", clientAddress: "10.0.0.3:8000", kind: "observer", lag: 40n }),
  member(9, { kind: "other" }),
];

function viewOf(
  members: readonly MemberInit[],
  changes: Omit<MessageInitShape<typeof StatusResponseSchema>, "$typeName" | "$unknown"> = {},
) {
  return create(StatusResponseSchema, {
    clientAddress: "10.0.0.1:8000",
    paxosAddress: "10.0.0.1:9000",
    replicaId: 1n,
    role: "coordinator",
    coordinator: "10.0.0.1:9000",
    decidedSlot: 20n,
    removeAfterMs: 5000n,
    members: [...members],
    configuration: { epoch: 2n, slot: 12n, tieBreak: 1n, settled: true },
    ...changes,
  });
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof CliError, String(error));
    assert.equal(error.exitCode, 3);
    return `${error.message} | ${error.hint}`;
  }
  return assert.fail("it was taken");
}

test("a member is named by its id, either address, or self", () => {
  const view = viewOf(MEMBERS);
  for (const name of ["2", "10.0.0.2:9000", "10.0.0.2:8000", "self"]) {
    assert.equal(findMember(view, name, 2n)?.replicaId, 2n, name);
  }
  assert.equal(findMember(view, "10.0.0.3:8000", 1n)?.replicaId, 5n, "the lost disk announced nothing");
  assert.equal(findMember(view, "4", 1n), undefined, "an id that no member has is the coordinator's to judge");
  assert.equal(idOf(view, "4", 1n), 4);
});

test("names that mean nobody, or two, are refused with what to type", () => {
  const view = viewOf(MEMBERS);
  const cases: ReadonlyArray<readonly [name: string, text: RegExp]> = [
    ["10.0.0.7:9000", /'10.0.0.7:9000' is no member; the members are 1 \(10.0.0.1:9000\), 2 .*, 3 .*, 5 \(10.0.0.3:9000\) \|/],
    ["10.0.0.9:9000", /'10.0.0.9:9000' is no member/],
    ["10.0.0.3:9000", /is two members, 3 and 5: its disk was lost.* \| the id: 3 is the lost disk/],
    ["bob", /'bob' is no member/],
    ["-1", /'-1' is no member/],
    ["0", /'0' is no ReplicaId; allowed is a whole number above 0/],
  ];
  for (const [name, text] of cases) {
    assert.match(
      refusal(() => idOf(view, name, 1n)),
      text,
    );
  }
});

test("a name that no member has, in whatever spelling, is that of nobody; what is no name at all is not", () => {
  const view = viewOf(MEMBERS);
  for (const name of ["4", "10.0.0.7:9000", "10.0.0.9:8000"]) {
    assert.equal(isNobody(view, name, 1n), true, name);
  }
  for (const name of ["2", "self", "10.0.0.2:9000", "10.0.0.2:8000", "10.0.0.3:9000", "bob", "-1"]) {
    assert.equal(isNobody(view, name, 1n), false, name);
  }
});

test("the address of a new server: what is taken, and what is refused", () => {
  const view = viewOf(MEMBERS);
  assert.equal(newAddress(view, "LOCALHOST:9003"), "127.0.0.1:9003");
  assert.match(
    refusal(() => newAddress(view, "10.0.0.4")),
    /the new server's address '10.0.0.4' .* \| its my_paxos/,
  );
  assert.match(
    refusal(() => newAddress(view, "10.0.0.2:8000")),
    /10.0.0.2:8000 is where clients reach replica 2; allowed is .*my_paxos/,
  );
});

test("what to type on the new machine: live members to ask, and a client port as far away as the others have it", () => {
  const command = "synod server --join 10.0.0.1:9000,10.0.0.2:9000,10.0.0.3:9000";
  assert.equal(joinCommand(viewOf(MEMBERS), "10.0.0.4:9000", false), `${command} --my-paxos 10.0.0.4:9000 --my-addr 10.0.0.4:8000`);
  assert.equal(
    joinCommand(viewOf(MEMBERS), undefined, true),
    `${command} --my-paxos THIS_MACHINE:9000 --my-addr THIS_MACHINE:8000 --electable false`,
  );
});

test("members as a table, as lines and as JSON", () => {
  const view = viewOf(MEMBERS, { blocked: "Start 10.0.0.3:9000." });
  assert.equal(
    renderMembers(view, "table", (text) => text),
    [
      "ID  PAXOS          CLIENT         KIND      ANSWERS  LAG  NOTE",
      " 1  10.0.0.1:9000  10.0.0.1:8000  voter*    yes        0",
      " 2  10.0.0.2:9000  10.0.0.2:8000  voter     yes        0",
      " 3  10.0.0.3:9000  -              voter     no         -  its disk was lost; the newer id at this address takes its place",
      " 5  10.0.0.3:9000  10.0.0.3:8000  observer  yes       40  votes by itself once it keeps up",
      "",
      "configuration 2 of slot 12, settled: voters 1* 2 3 (* breaks ties)",
      "Start 10.0.0.3:9000.",
      "",
    ].join("\n"),
  );
  assert.equal(renderMembers(view, "simple", (text) => text).split("\n")[1], "2, 10.0.0.2:9000, 10.0.0.2:8000, voter, yes, 0, ");
  const json = JSON.parse(renderMembers(view, "json", (text) => text));
  assert.deepEqual([json.epoch, json.slot, json.tieBreak, json.settled, json.members.length], [2, 12, 1, true, 4]);
  const done = JSON.parse(renderChange({ text: "removed 4", slot: 12, settled: false, view }, "json"));
  assert.deepEqual([done.result, done.slot, done.settled, done.members[3].lag], ["OK", 12, false, 40]);
});

const CLIENT_TIMES = { timeoutMs: 2000, dialTimeoutMs: 500 };

test("a server that never comes is told after the wait, with what to do", async () => {
  const fake = await startFakeServer({ status: () => viewOf(MEMBERS) });
  const operator = new Operator({ endpoints: [fake.endpoint], ...CLIENT_TIMES });
  cleanups.push(
    () => fake.kill(),
    () => operator.close(),
  );
  const said: string[] = [];
  const waiting = arrive(operator, { address: "10.0.0.4:9000", waitMs: 500, staysObserver: false, say: (line) => said.push(line) });
  await assert.rejects(waiting, /10.0.0.4:9000 has not arrived within 500 ms: it has not joined/);
  assert.equal(said.length, 1, "what to type is said once");
  assert.match(said[0] ?? "", /On its machine, run:\n {2}synod server --join .* --my-paxos 10.0.0.4:9000/);
});

test("a new server is promoted again and again until it has caught up", async () => {
  let asked = 0;
  const fake = await startFakeServer({
    status: () => viewOf([member(1, { clientAddress: "" }), member(4, { kind: "observer", lag: 700n, clientAddress: "" })]),
    changeMembers: ({ change }) => {
      assert.deepEqual(change, { case: "promote", value: 4n });
      asked++;
      if (asked < 3) {
        throw new FakeFailure(status.FAILED_PRECONDITION, "it is 700 slots behind");
      }
      return { slot: 21n };
    },
  });
  const operator = new Operator({ endpoints: [fake.endpoint], ...CLIENT_TIMES });
  cleanups.push(
    () => fake.kill(),
    () => operator.close(),
  );
  const said: string[] = [];
  const { member: arrived, slot } = await arrive(operator, {
    address: "10.0.0.4:9000",
    waitMs: 10_000,
    staysObserver: false,
    say: (line) => said.push(line),
  });
  assert.deepEqual([Number(arrived.replicaId), slot, asked], [4, 21, 3]);
  assert.deepEqual(said, ["10.0.0.4:9000 has joined as replica 4.", "Replica 4 does not vote yet: it lacks 700 slots."]);
});

test("a change that is not settled in time is told so, not taken for settled", async () => {
  let isSettled = false;
  const fake = await startFakeServer({
    status: () =>
      viewOf([member(1, { clientAddress: "" })], { configuration: { epoch: 3n, slot: 20n, settled: isSettled, unsettled: [2n] } }),
  });
  const operator = new Operator({ endpoints: [fake.endpoint], ...CLIENT_TIMES });
  cleanups.push(
    () => fake.kill(),
    () => operator.close(),
  );
  assert.equal((await operator.settled(20, 300)).isSettled, false);
  isSettled = true;
  assert.equal((await operator.settled(21, 300)).isSettled, false, "the slot of the change is not decided there yet");
  assert.equal((await operator.settled(20, 300)).isSettled, true);
});
