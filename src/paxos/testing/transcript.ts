/**
 * Runs one dialogue of a transcript: each line above the rule is a command, the lines it returns are the dialogue. Commands
 * set up disks, hold and lose messages, and let time pass; all that is said below the rule comes from the real core.
 */
import { assert, present } from "../../base/assert.js";
import { utf8Encode } from "../../base/utf8.js";
import { commandsBatch } from "../batch.js";
import { genesisConfiguration } from "../configuration.js";
import { clusterId, diskId, replicaId } from "../ids.js";
import { checkSynced } from "../invariants.js";
import { applyRecord, type WalRecord } from "../record.js";
import { isActiveCoordinator, statusOf } from "../replica.js";
import { type Filter, type Flight, matches, TranscriptCluster } from "./transcript-cluster.js";
import { addressOf, type Limits, nameOf } from "./transcript-servers.js";
import {
  ballotOf,
  changeOf,
  durationOf,
  filterOf,
  hashOf,
  numberOf,
  parseWords,
  slotOf,
  textBatch,
  type Words,
} from "./transcript-words.js";

/** Before a command whose dialogue is not the subject. */
const QUIETLY = "quietly ";
/** Until a coordinator is elected by `coordinator`, ms. */
const ELECTION_MS_MAX = 5000;
const DEFAULT_WINDOW = 4;
const DEFAULT_KEEP = 1000;
const DEFAULT_WINDOW_BYTES = 8 * 1024 * 1024;
const DEFAULT_PING_MS = 100;
const DEFAULT_GRANT_MS = 600;
const DEFAULT_STABLE_MS = 3000;

/** How long a change may take, µs. */
const CHANGE_MICROS = 3_000_000;

/** The dialogue of `commands`. Throws where a command is not understood or an invariant breaks. */
export function runTranscript(commands: readonly string[]): readonly string[] {
  const runner = new Runner();
  for (const command of commands) {
    runner.run(command);
  }
  return runner.cluster.lines;
}

class Runner {
  readonly cluster = new TranscriptCluster();
  /** Setup lines change disks; the first other command starts the servers on them. */
  private waiting: string[] = [];
  private asleep = new Set<string>();
  /** Of the cluster, for servers that come later. */
  private limits: Limits | null = null;
  private changes = 0;

  run(command: string): void {
    if (command.startsWith(QUIETLY)) {
      this.cluster.quietly(() => this.run(command.slice(QUIETLY.length)));
      return;
    }
    const words = parseWords(command);
    const [verb = "", ...rest] = words.plain;
    if (!this.setUp(verb, rest, words)) {
      this.begin();
      const known = this.drive(verb, rest, words) || this.break(verb, rest) || this.bend(verb, rest, words) || this.slow(verb, rest, words);
      if (!known) {
        throw new Error(`no such command: ${command}`);
      }
      this.cluster.settle();
    }
  }

  /** Starts what `cluster` made, quietly: who says hello to whom is not the subject. */
  private begin(): void {
    const names = this.waiting;
    this.waiting = [];
    this.cluster.quietly(() => {
      for (const name of names) {
        this.cluster.start(name);
        this.cluster.settle();
      }
    });
  }

  // ---- setup ------------------------------------------------------------------------------------------------------

  private setUp(verb: string, names: readonly string[], words: Words): boolean {
    const limits: Limits = {
      window: numberOf(words, "window", DEFAULT_WINDOW),
      windowBytes: numberOf(words, "window-bytes", DEFAULT_WINDOW_BYTES),
      keep: numberOf(words, "keep", DEFAULT_KEEP),
      pingMs: numberOf(words, "ping", DEFAULT_PING_MS),
      grantMs: numberOf(words, "grant", DEFAULT_GRANT_MS),
      removeAfterMs: numberOf(words, "remove-after", 0),
      stableMs: numberOf(words, "stable", DEFAULT_STABLE_MS),
      minVoters: numberOf(words, "min-voters", 1),
      join: words.named.get("join")?.split(",") ?? [],
      electable: words.named.get("electable") !== "no",
    };
    if (verb === "cluster" || verb === "virgins") {
      this.limits = limits;
    }
    switch (verb) {
      case "cluster":
        this.cluster.create(names, limits);
        this.found(names);
        this.waiting = [...names];
        return true;
      case "virgins":
        this.cluster.create(names, limits, words.named.get("list")?.split(",") ?? names);
        return true;
      case "joiner":
        this.cluster.create(names, { ...this.limitsOfAll(), join: limits.join, electable: limits.electable }, names);
        return true;
      case "other-cluster":
        this.foundElsewhere(names);
        return true;
      case "accepted":
        this.write(names, { kind: "accept", ballot: ballotOf(words), slot: slotOf(words), batch: textBatch(words) });
        return true;
      case "learned":
        this.write(names, { kind: "learn", slot: slotOf(words), batch: textBatch(words) });
        return true;
      case "promised":
        this.write(names, { kind: "promise", ballot: ballotOf(words) });
        return true;
      case "decided":
        this.write(names, { kind: "decided", slot: slotOf(words) });
        return true;
      default:
        return false;
    }
  }

  private found(names: readonly string[]): void {
    const identities = this.identitiesOf(names, 7n);
    for (const [i, name] of names.entries()) {
      this.write([name], present(identities[i], "each server has an identity"));
    }
  }

  /** What founding writes on each of these disks. */
  private identitiesOf(names: readonly string[], cluster: bigint): WalRecord[] {
    const configuration = genesisConfiguration(
      names.map((name) => ({ address: addressOf(name), diskId: this.cluster.server(name).disk.durable.diskId })),
    );
    const lineage = { number: 1, random: cluster };
    return names.map((_, i) => ({ kind: "identity", clusterId: clusterId(cluster), lineage, replica: replicaId(i + 1), configuration }));
  }

  /** The disks of these servers, and what they hold, are those of a cluster that this transcript is not about. */
  private foundElsewhere(names: readonly string[]): void {
    for (const [i, name] of names.entries()) {
      const { disk } = this.cluster.server(name);
      applyRecord(disk.durable, present(this.identitiesOf(names, 9n)[i], "each server has an identity"));
    }
  }

  /** A record that is already on these disks. */
  private write(names: readonly string[], record: WalRecord): void {
    for (const name of names) {
      const { disk, address, state } = this.cluster.server(name);
      assert(state === null, "a disk is set up while its server is down");
      applyRecord(disk.durable, record);
      checkSynced(this.cluster.history, { address, replica: disk.durable.replica }, record);
    }
  }

  // ---- what servers are asked -------------------------------------------------------------------------------------

  private drive(verb: string, [name = "", ...rest]: readonly string[], words: Words): boolean {
    const { cluster } = this;
    const { now } = cluster;
    switch (verb) {
      case "elect":
        cluster.step(name, { kind: "nominate", now });
        return true;
      case "coordinator":
        this.makeCoordinator(name);
        return true;
      case "propose":
        for (const text of words.texts) {
          cluster.step(name, { kind: "propose", batch: commandsBatch(utf8Encode(text)), now });
        }
        return true;
      case "read":
        for (let count = Number(rest[0] ?? 1); count > 0; count--) {
          cluster.read(name);
          cluster.settle();
        }
        return true;
      case "handover":
        cluster.step(name, { kind: "handover", heir: rest[0] === undefined ? null : addressOf(rest[0]), now });
        return true;
      case "change":
        cluster.step(name, { kind: "change", id: ++this.changes, change: changeOf(rest), deadline: now + CHANGE_MICROS, now });
        return true;
      case "members":
        this.members();
        return true;
      case "snapshot": {
        const meta = present(cluster.server(name).takeSnapshot(), "there is a new state to take a snapshot of");
        cluster.step(name, { kind: "snapshotTaken", meta, now });
        return true;
      }
      case "checkpoint":
        cluster.step(name, { kind: "checkpoint", slot: slotOf(words), stateHash: hashOf(words), now });
        return true;
      case "space":
        cluster.step(name, { kind: "space", low: rest[0] === "low", now });
        return true;
      case "tick":
        cluster.pass(durationOf(name), this.asleep);
        return true;
      case "status":
        this.status();
        return true;
      default:
        return false;
    }
  }

  /** A coordinator, without the dialogue that made it one. */
  private makeCoordinator(name: string): void {
    const { cluster } = this;
    cluster.quietly(() => {
      cluster.step(name, { kind: "nominate", now: cluster.now });
      cluster.settle();
      for (let waited = 0; waited < ELECTION_MS_MAX && !this.coordinates(name); waited += 10) {
        cluster.pass(10_000, this.asleep);
      }
    });
    assert(this.coordinates(name), `${name} coordinates`);
  }

  private coordinates(name: string): boolean {
    const { state } = this.cluster.server(name);
    return state !== null && isActiveCoordinator(state);
  }

  private status(): void {
    for (const [name, { state, machine }] of this.cluster.servers) {
      if (state === null) {
        this.cluster.write(`${name}: down`);
        continue;
      }
      const { promised } = state.durable;
      const role = isActiveCoordinator(state) ? "coordinator" : state.candidate !== null ? "candidate" : "follower";
      this.cluster.write(
        `${name}: ${role}, promised ${promised.round}.${promised.replica}, decided ${state.decided}, applied ${machine.index}`,
      );
    }
  }

  /** Who votes as each server knows it; the coordinator also knows whether that is settled. */
  private members(): void {
    for (const [name, { state }] of this.cluster.servers) {
      const status = state === null ? null : statusOf(state);
      if (status?.configuration == null) {
        this.cluster.write(`${name}: ${status === null ? "down" : "no member"}`);
        continue;
      }
      const { epoch, tieBreak, settled } = status.configuration;
      const told = status.members.map(
        ({ replica, kind }) => `n${replica}${replica === tieBreak ? "*" : ""}${kind === "voter" ? "" : ` (${kind})`}`,
      );
      const word = settled === null ? "" : settled ? ", settled" : ", not settled";
      this.cluster.write(`${name}: configuration ${epoch}, ${told.join(" ")}${word}`);
      if (status.blocked !== null) {
        this.cluster.write(`${name}: ${status.blocked}`);
      }
    }
  }

  // ---- what breaks ------------------------------------------------------------------------------------------------

  private break(verb: string, [name = "", ...rest]: readonly string[]): boolean {
    const { cluster } = this;
    switch (verb) {
      case "cut":
        this.cut(name, rest);
        return true;
      case "heal":
        cluster.heal();
        return true;
      case "connect":
        for (const other of rest.filter((word) => word !== ">")) {
          cluster.connect(name, other);
          if (rest[0] !== ">") {
            cluster.connect(other, name);
          }
        }
        return true;
      case "crash":
        cluster.server(name).crash(rest[0] === "keeping" ? Number(rest[1]) : 0);
        cluster.heldDisks.delete(name);
        cluster.write(`${name} crashes`);
        return true;
      case "start":
      case "restart":
        cluster.write(`${name} starts`);
        cluster.start(name);
        return true;
      case "gone":
        for (const other of rest) {
          cluster.step(name, { kind: "peerGone", address: addressOf(other), now: cluster.now });
        }
        return true;
      case "pause":
        this.asleep.add(name);
        return true;
      case "resume":
        this.asleep.delete(name);
        return true;
      case "wipe":
        this.wipe(name);
        return true;
      default:
        return false;
    }
  }

  private limitsOfAll(): Limits {
    return present(this.limits, "the servers were created");
  }

  /** `cut n1 n3`: both ways; `cut n1 > n3`: one way; `cut n3`: from everybody. */
  private cut(name: string, [second, third]: readonly string[]): void {
    const others = second === undefined ? [...this.cluster.servers.keys()].filter((other) => other !== name) : [third ?? second];
    for (const other of others) {
      this.cluster.cut(name, other);
      if (second !== ">") {
        this.cluster.cut(other, name);
      }
    }
  }

  /** An empty disk in place of the one that was there. */
  private wipe(name: string): void {
    const { cluster } = this;
    const old = cluster.server(name);
    assert(old.state === null, "a disk is wiped while its server is down");
    const { list, join } = old.options;
    cluster.create([name], { ...this.limitsOfAll(), join: join.map(nameOf) }, list.map(nameOf));
    const { disk } = cluster.server(name);
    disk.durable = { ...disk.durable, diskId: diskId("f".repeat(32)) };
    cluster.write(`the disk of ${name} is wiped`);
  }

  // ---- messages and disks -----------------------------------------------------------------------------------------

  private bend(verb: string, rest: readonly string[], words: Words): boolean {
    const { cluster } = this;
    const [first = ""] = rest;
    switch (verb) {
      case "hold":
        cluster.holds.push(filterOf(rest, words.named));
        return true;
      case "lose":
        cluster.losses.push(filterOf(rest, words.named));
        return true;
      case "pass":
        for (const rules of [cluster.holds, cluster.losses, cluster.delays, cluster.forged]) {
          rules.length = 0;
        }
        return true;
      case "deliver":
        for (const flight of this.takeHeld(filterOf(rest, words.named))) {
          cluster.release(flight);
        }
        return true;
      case "drop":
        this.takeHeld(filterOf(rest, words.named));
        return true;
      case "replay":
        cluster.release(
          present(
            cluster.arrived.findLast((flight) => matches(filterOf(rest, words.named), flight)),
            "such a message arrived",
          ),
        );
        return true;
      case "fail":
        cluster.failing.set(first, Number(rest[1] ?? 1));
        return true;
      case "hold-disk":
        cluster.heldDisks.add(first);
        return true;
      case "sync":
        cluster.sync(first, Number(rest[1] ?? Number.MAX_SAFE_INTEGER), true);
        return true;
      case "free-disk":
        cluster.heldDisks.delete(first);
        cluster.sync(first, Number.MAX_SAFE_INTEGER, true);
        return true;
      case "show":
        cluster.show(first);
        return true;
      case "say":
        cluster.write(words.texts[0] ?? "");
        return true;
      default:
        return false;
    }
  }

  // ---- what is slow, full or damaged -------------------------------------------------------------------------------

  private slow(verb: string, rest: readonly string[], words: Words): boolean {
    const { cluster } = this;
    const [name = ""] = rest;
    switch (verb) {
      case "delay":
        cluster.delays.push({ filter: filterOf(rest, words.named), micros: durationOf(rest.at(-1) ?? "") });
        return true;
      case "slow-disk":
        for (const slow of rest.slice(0, -1)) {
          cluster.slowDisks.set(slow, durationOf(rest.at(-1) ?? ""));
        }
        return true;
      case "slow-load":
        cluster.slowLoads.set(name, durationOf(rest[1] ?? ""));
        return true;
      case "refuse-chunks":
        cluster.fullDisks.add(name);
        return true;
      case "take-chunks":
        cluster.fullDisks.delete(name);
        return true;
      case "forget-snapshot":
        assert(cluster.server(name).disk.snapshots.delete(slotOf(words)), "such a snapshot is on its disk");
        return true;
      case "forge":
        cluster.forged.push(filterOf(rest, words.named));
        return true;
      default:
        return false;
    }
  }

  private takeHeld(filter: Filter): readonly Flight[] {
    const { held } = this.cluster;
    const taken = held.filter((flight) => matches(filter, flight));
    assert(taken.length > 0, "such a message is held");
    held.splice(0, held.length, ...held.filter((flight) => !taken.includes(flight)));
    return taken;
  }
}
