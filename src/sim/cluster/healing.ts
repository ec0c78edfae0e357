/**
 * After the faults: those that last are ended, some servers are left dead or cut off for good, and the core must become well within a
 * bound: a coordinator, a new write through every server of the core, and one state everywhere (PROTOCOL §7.5, vi; after TigerBeetle's liveness mode).
 */
import { present } from "../../base/assert.js";
import type { Hash64 } from "../../base/hash64.js";
import type { Prng } from "../../base/prng.js";
import { isFounded } from "../../paxos/election.js";
import type { Address } from "../../paxos/ids.js";
import { hasIdentity } from "../../paxos/membership.js";
import type { ReplicaState } from "../../paxos/replica.js";
import { Violation } from "../observer.js";
import type { Fault } from "../scenario/faults.js";
import type { Scenario } from "../scenario/scenario.js";
import type { Clients } from "../workload/clients.js";
import { LEFT_DEAD } from "./census.js";
import { type Cluster, SEGMENTS_KEPT } from "./cluster.js";
import type { Machine } from "./machine.js";
import type { Nemesis } from "./nemesis.js";
import { chooseLeft, leaveBehind } from "./survivors.js";
import { coreOf, introduce, restlessness, restMs, startAll, type Ward } from "./ward.js";

const MICROS_A_MILLI = 1000;
/** Start, catch-up and back-offs of what was down or unreachable, on top of ten election waits. The slowest of hundreds of seeds took 7 s in all. */
const SLACK_MS = 15_000;
const ELECTION_WAITS = 10;
/** The longest random part of an election wait; PROTOCOL, section 0. */
const SPREAD_MS = 350;
/** Election waits until a cluster that is well must have come to rest, and for how many it must then keep its coordinator. */
const REST_WAITS = 1;
const CALM_WAITS = 3;
/** Operations of the disk for each segment of a log at a start. */
const SEGMENT_OPERATIONS = 30;
/** How often the state of things is looked at. */
const LOOK_MS = 20;
/** Between two writes where somebody must show that it accepts none. */
const WRITE_MS = 200;
/** How often a server that is down is started again until the cluster is founded. */
const REVIVE_MS = 200;
/** Until a cluster that lost its quorum has come to rest, and how long it must stay so. */
const SETTLE_MS = 10_000;
const BLOCKED_MS = 10_000;
/** Starts, back-offs and the repetition of Genesis. */
const FOUNDING_MS = 60_000;

export type Patient = { readonly cluster: Cluster; readonly nemesis: Nemesis; readonly scenario: Scenario; readonly clients: Clients };

/**
 * Heals, and waits until the core is well; a core that does not become well is a violation. Returns the core: the servers through which
 * everything must be readable. Empty where nothing can be asked of them.
 */
export async function heal(patient: Patient, prng: Prng): Promise<readonly number[]> {
  const { cluster, nemesis, scenario } = patient;
  const { engine, watchers, tally } = cluster;
  nemesis.end();
  if (!(await found(patient))) {
    tally.add("never founded");
    return [];
  }
  const outlook = chooseLeft(cluster, scenario);
  const isOneHeard = leaveBehind(cluster, outlook, scenario, prng);
  const ward: Ward = { cluster, scenario, clients: patient.clients, left: outlook.left };
  introduce(ward);
  startAll(ward);
  watchers.tell((observer) => observer.healing?.(engine.now, coreOf(ward)));
  if (outlook.kind === "blocked") {
    await demandBlocked(ward);
    return [];
  }
  if (outlook.kind === "open") {
    tally.add("nothing demanded");
    return [];
  }
  const replayed = tally.of("net replay");
  const look = new Look(ward);
  look.start();
  const isWell = (await demandWell(ward, look)) && (await demandRest(ward, look, isOneHeard));
  look.isOver = true;
  if (isWell) {
    await demandCalm(ward, replayed);
    demandVotes(ward);
  }
  return isWell ? coreOf(ward) : [];
}

async function demandWell(ward: Ward, look: Look): Promise<boolean> {
  const { cluster, scenario } = ward;
  const { engine, watchers, tally } = cluster;
  const boundMs = ELECTION_WAITS * (scenario.settings.grantMs + SPREAD_MS) + SLACK_MS + backlogMs(ward) + startMs(ward);
  const began = engine.now;
  await cluster.run(engine.now + boundMs * MICROS_A_MILLI, () => look.isWell);
  if (look.isWell) {
    tally.add("healed");
    tally.add("healing ms", Math.round((engine.now - began) / MICROS_A_MILLI));
  } else if (isUnfoundable(cluster)) {
    tally.add("never founded");
  } else if (watchers.failure === null) {
    watchers.fail(
      new Violation("liveness", `the core ${names(coreOf(ward))} is not well ${boundMs} ms after the faults ended: ${look.trouble()}`),
    );
  }
  return look.isWell;
}

/** Whoever came back is a member again, and votes where the autopilot is on; who was left behind does not. */
async function demandRest(ward: Ward, look: Look, writes: boolean): Promise<boolean> {
  const { cluster, scenario } = ward;
  const { engine, watchers, tally } = cluster;
  // Acceptors that fail at random may lose their votes again and again; and partial partitions that are held are not healed.
  if (scenario.settings.failRate > 0 || scenario.held.length > 0) {
    return true;
  }
  const boundMs = restMs(ward);
  const began = engine.now;
  const writer = new Writer(ward);
  if (writes) {
    writer.start();
  }
  await cluster.run(engine.now + boundMs * MICROS_A_MILLI, () => look.isWell && restlessness(ward) === null);
  const restless = restlessness(ward);
  writer.isOver = true; // from now on one that is of no use may seem well
  await cluster.run(engine.now + boundMs * MICROS_A_MILLI, () => writer.isIdle && look.isWell);
  if (restless !== null || !look.isWell) {
    watchers.fail(
      new Violation("liveness", `${restless ?? "the core is not well"} ${boundMs} ms after the cluster was well: ${look.trouble()}`),
    );
    return false;
  }
  tally.add("came to rest");
  tally.add("rest ms", Math.round((engine.now - began) / MICROS_A_MILLI));
  return true;
}

function knowsFounded(state: Readonly<ReplicaState>): boolean {
  return hasIdentity(state) && isFounded(state);
}

/** A start reads all segments that the log keeps, and copies them into new ones: how long that takes at most. */
function startMs({ scenario: { settings, speeds } }: Ward): number {
  const segments = SEGMENTS_KEPT + settings.snapshotEveryBytes / settings.segmentBytes;
  return Math.ceil((segments * SEGMENT_OPERATIONS * speeds.diskMax) / MICROS_A_MILLI);
}

/** Writes that nobody waits for any more are decided all the same, before the new ones: how long that takes at most. */
function backlogMs({ scenario, clients }: Ward): number {
  const { settings, speeds } = scenario;
  const roundMs = (2 * (speeds.linkMax + speeds.diskMax)) / MICROS_A_MILLI;
  return Math.ceil((clients.unknownWrites * roundMs) / (settings.windowSlots * settings.batchMaxCommands));
}

/**
 * A cluster is founded by all of its servers or not at all (PROTOCOL §4.8): while one of the disks is lost before, nothing can be decided
 * and nothing is asked of the core. False then.
 */
async function found({ cluster, scenario }: Patient): Promise<boolean> {
  const { engine, watchers, protocol } = cluster;
  const machines = cluster.machines.slice(0, cluster.founders);
  // That all hold Genesis is not enough: until somebody knows it of all, the loss of one of them stops everything.
  const isDone = (): boolean =>
    cluster.addresses.slice(0, cluster.founders).every((address) => protocol.history.founded.has(address)) &&
    (protocol.decided > 0 || machines.every(({ server }) => server !== null && knowsFounded(server.replicaState)));
  if (isDone()) {
    return true;
  }
  let isOver = false;
  const revive = (): void => {
    for (const machine of machines) {
      machine.start();
    }
    if (!isOver) {
      engine.after(REVIVE_MS * MICROS_A_MILLI, revive); // one may come to its end only now: a stop, or a start on a disk that was full
    }
  };
  revive();
  const held = scenario.held.length > 0;
  const lost = machines.some(isSpoilt);
  await cluster.run(engine.now + FOUNDING_MS * MICROS_A_MILLI, isDone);
  isOver = true;
  if (!isDone() && !lost && !held && watchers.failure === null) {
    const missing = machines.filter(({ index }) => !protocol.history.founded.has(cluster.addresses[index] as Address));
    watchers.fail(
      new Violation(
        "liveness",
        `${names(missing.map(({ index }) => index))} did not found within ${FOUNDING_MS} ms after the faults ended`,
      ),
    );
  }
  if (!isDone() && protocol.decided > 0) {
    watchers.fail(new Violation("39", "something is decided before every server holds Genesis"));
  }
  return isDone();
}

/** A disk was lost after it held Genesis and before anyone knew: then nobody ever will, and nothing was decided. */
function isUnfoundable({ machines, protocol }: Cluster): boolean {
  const isFounding = (text: string | null | undefined): boolean => text?.includes("being founded") === true;
  return (
    protocol.decided === 0 &&
    machines.some(isSpoilt) &&
    machines.every(({ server }) => server === null || isFounding(server.replicaStatus().blocked))
  );
}

function isSpoilt({ disk }: Machine): boolean {
  return disk.damaged || disk.past.wiped;
}

/**
 * Where nothing fails any more nobody may depose the coordinator: servers that fight over ballots may be well for a moment, and useless.
 * `replayed`: messages that came again until the healing began. The autopilot may be at work still: a voter whose disk was full until the end
 * loses its vote late, and gets it back.
 */
async function demandCalm({ cluster, scenario }: Ward, replayed: number): Promise<void> {
  const { engine, watchers, tally } = cluster;
  const waitMicros = (scenario.settings.grantMs + SPREAD_MS) * MICROS_A_MILLI;
  await cluster.run(engine.now + REST_WAITS * waitMicros);
  // The ballot behind an entry that was just decided is still to come.
  const before = ballotsDue() + (cluster.coordinator() === null ? 1 : 0);
  await cluster.run(engine.now + CALM_WAITS * waitMicros);
  const won = ballotsDue() - before;
  // What was said before the end of the faults may come again for two minutes, and a server's former life with it.
  // And acceptors that fail requests at random may keep a slot open until its coordinator gives up.
  if (won > 0 && tally.of("net replay") === replayed && scenario.settings.failRate === 0) {
    watchers.fail(new Violation("liveness", `${won} elections in ${CALM_WAITS} election waits although nothing fails any more`));
  }

  /** Elections so far. Each entry of the autopilot costs a ballot, and deposes nobody. */
  function ballotsDue(): number {
    const { configurations, staleEntries } = cluster.protocol.history;
    return tally.of("election won") - configurations.length - staleEntries;
  }
}

/** Cuts after which everybody still reaches everybody through others. */
const PARTIAL: ReadonlySet<Fault["kind"]> = new Set(["cut", "star", "chain", "ring"]);

/** Partial partitions alone cost nobody its vote: whoever is cut off from the coordinator is heard by others that it hears (PROTOCOL §4.1). */
function demandVotes({ cluster, scenario }: Ward): void {
  const { configuration } = cluster.census;
  const isInPart = scenario.held.length > 0 && scenario.held.every(({ kind }) => PARTIAL.has(kind));
  if (isInPart && scenario.faults.length === 0 && configuration?.epoch !== 1) {
    cluster.watchers.fail(new Violation("4.1", `epoch ${configuration?.epoch}: a voter that is only cut off from some lost its vote`));
  }
}

/**
 * Without a quorum nothing may be decided, however long it lasts, and every server that is left must say whom it needs. What was proposed
 * when the quorum went may be decided first by those who had accepted it.
 */
async function demandBlocked({ cluster, left, clients }: Ward): Promise<void> {
  const { engine, watchers, tally, protocol, machines } = cluster;
  const living = machines.filter(({ index, unusable }) => unusable === null && !left.includes(index));
  await cluster.run(engine.now + SETTLE_MS * MICROS_A_MILLI);
  const { decided } = protocol;
  for (const { index } of living) {
    clients.insist(index, () => watchers.fail(new Violation("30", `n${index + 1} acknowledges a write without a quorum`)));
  }
  await cluster.run(engine.now + BLOCKED_MS * MICROS_A_MILLI);
  if (protocol.decided !== decided) {
    watchers.fail(new Violation("30", `slots up to ${protocol.decided} are decided without a quorum, after ${decided}`));
  }
  for (const machine of living) {
    const complaint = blockedComplaint(cluster, machine, left);
    if (complaint !== null) {
      watchers.fail(new Violation("blocked", complaint));
    }
  }
  tally.add("blocked");
}

/** What is wrong with what this server says of its being blocked: it names servers that together with those that live make a quorum. */
function blockedComplaint({ census, machines }: Cluster, { index, server }: Machine, left: readonly number[]): string | null {
  const text = server?.replicaStatus().blocked;
  if (server === null || (text ?? "") === "") {
    return server === null ? null : `n${index + 1} says nothing although no quorum is left`;
  }
  if (!census.isVoter(index) || server.replicaStatus().configuration?.epoch !== census.configuration?.epoch) {
    return null; // it may know no better
  }
  const isNamed = (machine: Machine): boolean => text?.includes(census.addressOf(machine.index)) === true;
  const isEnough = census.isSomeQuorum((machine) => (machine.unusable === null && !left.includes(machine.index)) || isNamed(machine));
  const isLost = !census.isSomeQuorum(({ unusable }) => unusable === null || unusable === LEFT_DEAD);
  // While it does not know of all that they hold Genesis it names those, and they would make a quorum. What is lost for good nobody can start.
  const isRight = isEnough || (isLost && text?.includes("recover") === true);
  return isRight || (machines.length > 0 && text?.includes("being founded") === true)
    ? null
    : `n${index + 1} does not say whom it needs of ${names(left)}: ${JSON.stringify(text)}`;
}

/** Writes through one server of the core, one write after the other. */
class Writer {
  private readonly ward: Ward;
  isIdle = true;
  isOver = false;

  constructor(ward: Ward) {
    this.ward = ward;
  }

  start(): void {
    const [server] = coreOf(this.ward);
    const { cluster, clients } = this.ward;
    if (server !== undefined) {
      this.isIdle = false;
      clients.write(server, () => {
        this.isIdle = true;
        cluster.engine.after(WRITE_MS * MICROS_A_MILLI, () => this.isOver || this.start());
      });
    }
  }
}

/** Looks again and again, and asks for a write through each server of the core as soon as it runs. */
class Look {
  private readonly ward: Ward;
  private readonly asked = new Set<number>();
  private readonly written = new Set<number>();
  isWell = false;
  isOver = false;

  constructor(ward: Ward) {
    this.ward = ward;
  }

  start(): void {
    this.look();
    if (!this.isOver) {
      this.ward.cluster.engine.after(LOOK_MS * MICROS_A_MILLI, () => this.start());
    }
  }

  /** What is still missing, for a person. */
  trouble(): string {
    const { cluster } = this.ward;
    const each = cluster.machines.map(({ server, index, unusable, host }) => {
      const status = server?.replicaStatus();
      const what = status === undefined ? (unusable ?? (host === null ? "down" : "starting")) : `${status.role} decided=${status.decided}`;
      return `n${index + 1} ${what}${this.written.has(index) ? "" : this.asked.has(index) ? " write open" : ""}`;
    });
    return each.join("; ");
  }

  private look(): void {
    const { cluster, clients } = this.ward;
    startAll(this.ward); // one that was told to stop before the healing may come to its end only now
    const core = coreOf(this.ward);
    for (const index of core) {
      if (!this.asked.has(index) && cluster.server(index) !== null) {
        this.asked.add(index);
        clients.insist(index, () => this.written.add(index));
      }
    }
    this.isWell = core.length > 0 && core.every((index) => this.written.has(index)) && this.isOne(core);
  }

  /** Every server of the core has applied the same slots, to the same state. */
  private isOne(core: readonly number[]): boolean {
    const { cluster } = this.ward;
    let slot = -1;
    let hash: Hash64 | null = null;
    for (const index of core) {
      const store = cluster.server(index)?.store;
      if (store === undefined || store.busy || (slot >= 0 && store.appliedSlot !== slot)) {
        return false;
      }
      slot = store.appliedSlot;
      const own = store.stateHash();
      if (hash !== null && own !== hash) {
        throwDiverged(cluster, index, slot);
        return false;
      }
      hash = own;
    }
    return true;
  }
}

function throwDiverged(cluster: Cluster, index: number, slot: number): void {
  cluster.watchers.fail(new Violation("21", `n${index + 1} has another state at slot ${slot} than the servers before it`));
}

function names(servers: readonly number[]): string {
  return servers.map((index) => `n${present(index, "a server") + 1}`).join(" ");
}
