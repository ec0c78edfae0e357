/**
 * The seeded explorer: drives the real core of a few servers through faults drawn from one seed, checks every step against
 * the history of the cluster, then heals everything and demands that the cluster works again. The same seed does the same
 * on every machine. It knows nothing of the core but its events, effects and invariants.
 */
import { assert } from "../../base/assert.js";
import { nextChance, nextInt } from "../../base/prng.js";
import { utf8Encode } from "../../base/utf8.js";
import { formatBallot } from "../ballot.js";
import { type Batch, commandsBatch } from "../batch.js";
import type { MembershipChange } from "../change.js";
import { lastDecided, readFloor } from "../invariants.js";
import { canPropose, isActiveCoordinator } from "../replica.js";
import { areVotesRight, canCoordinate, canGoOn, drawChange, haveAllJoined, isMember, replicaOf, wipe } from "./sim-members.js";
import { type Host, SimWorld } from "./sim-world.js";
import { drawOperation, type Operation } from "./swarm.js";

/** What one seed showed. `coverage` counts what happened, by name; `trace` is equal for equal runs. */
export type Exploration = {
  readonly seed: number;
  readonly steps: number;
  readonly decided: number;
  readonly coverage: ReadonlyMap<string, number>;
  readonly trace: number;
};

/** The cluster did not come back although everything was healed. */
export class LivenessFailure extends Error {
  override readonly name = "LivenessFailure";
}

/** True time within which a healed cluster must coordinate, decide, read and agree, ms. */
const CALM_MS_MAX = 20_000;

/** How long an operator waits for a change, ms. */
const CHANGE_MS_MAX = 1500;

/** Runs one seed. Throws InvariantViolation, AssertionFailure or LivenessFailure; `line` hears everything that happens. */
export function explore(seed: number, line?: (text: string) => void): Exploration {
  return new Explorer(seed, line ?? null).run();
}

/** The world of one seed as its faults leave it when the power of all servers fails in their midst: for what is to be made of the disks. */
export function exploreToBlackout(seed: number): SimWorld {
  return new Explorer(seed, null).blackout();
}

class Explorer {
  private readonly seed: number;
  private readonly world: SimWorld;
  private proposed = 0;

  constructor(seed: number, line: ((text: string) => void) | null) {
    this.seed = seed;
    this.world = new SimWorld(seed, line);
  }

  run(): Exploration {
    const { world } = this;
    this.chaos();
    world.calmDown();
    this.recover();
    return { seed: this.seed, steps: world.steps, decided: lastDecided(world.history), coverage: world.coverage, trace: world.trace };
  }

  blackout(): SimWorld {
    this.chaos();
    for (const host of this.world.hosts) {
      this.world.crash(host);
    }
    return this.world;
  }

  private chaos(): void {
    const { world } = this;
    world.begin();
    this.scheduleWork();
    world.runUntil(world.swarm.chaosMs * 1000);
  }

  // ---- work and faults --------------------------------------------------------------------------------------------

  private scheduleWork(): void {
    const mean = 1_000_000 / this.world.swarm.operationsPerSecond;
    this.world.heap.push(this.world.time + nextInt(this.world.work, 0, Math.ceil(2 * mean)), () => {
      if (!this.world.calm) {
        this.operate(
          drawOperation(this.world.work, this.world.swarm.weights),
          this.world.host(nextInt(this.world.work, 0, this.world.hosts.length)),
        );
        this.scheduleWork();
      }
    });
  }

  private operate(operation: Operation, host: Host): void {
    const now = this.world.now(host);
    switch (operation) {
      case "propose": {
        const able = this.world.hosts.find(({ server }) => server.state !== null && canPropose(server.state));
        if (able !== undefined) {
          this.propose(able);
        }
        return;
      }
      case "proposeAnywhere":
        this.propose(host);
        return;
      case "read":
        this.read(nextChance(this.world.work, 0.5) ? host : (this.oldestCoordinator() ?? host));
        return;
      case "readCancel": {
        const id = host.reads.keys().next().value;
        if (id !== undefined) {
          host.reads.delete(id);
          this.world.deliver(host, { kind: "readCancel", id, now });
        }
        return;
      }
      case "snapshot":
        this.takeSnapshot(host);
        return;
      case "crash":
        this.world.crash(host);
        return;
      case "crashCoordinator": {
        const coordinator = this.coordinator();
        if (coordinator !== undefined) {
          this.world.crash(coordinator);
        }
        return;
      }
      case "crashAll":
        this.world.count("crashAll");
        for (const each of this.world.hosts) {
          this.world.crash(each);
        }
        return;
      default:
        this.disturb(operation, host);
    }
  }

  private disturb(
    operation: Exclude<
      Operation,
      "propose" | "proposeAnywhere" | "read" | "readCancel" | "snapshot" | "crash" | "crashCoordinator" | "crashAll"
    >,
    host: Host,
  ): void {
    const now = this.world.now(host);
    const other = this.world.host(nextInt(this.world.work, 0, this.world.hosts.length));
    switch (operation) {
      case "partition":
        this.world.count("partition");
        this.world.network.cut();
        return;
      case "offCoordinator": {
        const coordinator = this.coordinator();
        if (coordinator !== undefined) {
          this.world.network.cutPair(coordinator.index, host.index);
        }
        return;
      }
      case "replay":
        this.world.network.replay();
        return;
      case "heal":
        this.world.network.heal();
        return;
      case "handover": {
        const coordinator = this.coordinator();
        if (coordinator !== undefined) {
          const heir = nextChance(this.world.work, 0.5) ? null : other.server.address;
          this.world.deliver(coordinator, { kind: "handover", heir, now: this.world.now(coordinator) });
        }
        return;
      }
      case "nominate":
        this.world.deliver(host, { kind: "nominate", now });
        return;
      case "falselyGone":
        if (other !== host) {
          this.world.deliver(host, { kind: "peerGone", address: other.server.address, now });
          this.world.dial(host.index, other.index, 20_000);
        }
        return;
      case "reconnect":
        this.world.dial(host.index, other.index, 0);
        return;
      case "clockGap":
        this.world.deliver(host, { kind: "clockGap", now });
        return;
      case "space":
        this.world.setSpace(host, !host.spaceLow);
        return;
      case "change":
        this.change(host, drawChange(this.world));
        return;
      case "removeCoordinator": {
        const coordinator = this.coordinator();
        if (coordinator !== undefined) {
          this.change(nextChance(this.world.work, 0.5) ? coordinator : host, { kind: "remove", replica: replicaOf(coordinator) });
        }
        return;
      }
      case "wipe":
        wipe(this.world, host);
        return;
      default:
        assert(false, `no such operation: ${String(operation satisfies never)}`);
    }
  }

  private change(host: Host, change: MembershipChange | null): void {
    if (change !== null && host.server.state !== null) {
      if (change.kind === "remove") {
        this.world.removals.add(change.replica);
      }
      const now = this.world.now(host);
      this.world.deliver(host, { kind: "change", id: host.nextChange++, change, deadline: now + CHANGE_MS_MAX * 1000, now });
    }
  }

  private coordinator(): Host | undefined {
    return this.world.hosts.find(({ server }) => server.state !== null && isActiveCoordinator(server.state));
  }

  /** Of those that take themselves for the coordinator the one of the lowest ballot: nobody is likelier to answer a read with old data. */
  private oldestCoordinator(): Host | undefined {
    const roundOf = ({ server }: Host): number => server.state?.coordinator?.ballot.round ?? Number.POSITIVE_INFINITY;
    return this.world.hosts.reduce<Host | undefined>(
      (oldest, host) => (roundOf(host) < (oldest === undefined ? Number.POSITIVE_INFINITY : roundOf(oldest)) ? host : oldest),
      undefined,
    );
  }

  private propose(host: Host): Batch | null {
    if (host.server.state === null) {
      return null;
    }
    const text = utf8Encode(`w${++this.proposed}`);
    const payload = new Uint8Array(Math.max(text.length, this.world.calm ? 0 : this.world.swarm.payloadBytes));
    payload.set(text);
    const batch = commandsBatch(payload);
    host.proposals.add(batch);
    this.world.deliver(host, { kind: "propose", batch, now: this.world.now(host) });
    return batch;
  }

  private read(host: Host): number {
    if (host.server.state === null) {
      return 0;
    }
    const id = host.nextRead++;
    host.reads.set(id, readFloor(this.world.history));
    this.world.deliver(host, { kind: "read", id, now: this.world.now(host) });
    return id;
  }

  private takeSnapshot(host: Host): void {
    const meta = host.server.takeSnapshot();
    if (meta !== null) {
      this.world.count("snapshotTaken");
      this.world.later(host.index, this.world.diskDelay(), () =>
        this.world.deliver(host, { kind: "snapshotTaken", meta, now: this.world.now(host) }),
      );
    }
  }

  // ---- afterwards -------------------------------------------------------------------------------------------------

  /** Demands a coordinator, a new decided write and a read at every server, and one history everywhere. */
  private recover(): void {
    const end = this.world.time + CALM_MS_MAX * 1000;
    const before = lastDecided(this.world.history);
    let written: Batch | null = null;
    let writtenIn = "";
    // Two leaves of a star do not reach each other, so a leaf that does not coordinate may have nobody to ask (PROTOCOL §3.3).
    const readers = this.world.center === null ? this.world.core : [this.world.center];
    let reading = false;
    const isDone = (): boolean => {
      const able = this.world.hosts.find(({ server }) => server.state !== null && canPropose(server.state));
      const ballot = able?.server.state?.coordinator?.ballot;
      if (
        able !== undefined &&
        ballot !== undefined &&
        writtenIn !== formatBallot(ballot) &&
        (written === null || !this.isDecided(written))
      ) {
        written = this.propose(able);
        writtenIn = formatBallot(ballot);
      }
      if (written === null || !this.isDecided(written)) {
        return false;
      }
      if (!reading) {
        reading = true;
        for (const host of readers) {
          this.read(host);
        }
      }
      return (
        this.isWhole() &&
        areVotesRight(this.world) &&
        haveAllJoined(this.world) &&
        readers.every((host) => host.reads.size === 0 || !isMember(this.world, host))
      );
    };
    this.world.runUntil(end, isDone);
    if (!canGoOn(this.world, new Set()) || (this.world.center !== null && !canCoordinate(this.world, this.world.center))) {
      this.world.count("beyondRepair");
      return;
    }
    if (!isDone() || lastDecided(this.world.history) <= before) {
      throw new LivenessFailure(`not well ${CALM_MS_MAX} ms after everything was healed: ${this.summary()}`);
    }
  }

  private isDecided(batch: Batch): boolean {
    return this.world.history.decided.includes(batch);
  }

  /** All servers have applied everything, to the same state. */
  private isWhole(): boolean {
    const last = lastDecided(this.world.history);
    const members = this.world.core.filter((host) => isMember(this.world, host));
    const hash = members[0]?.server.machine.hash;
    return members.every(({ server }) => server.machine.index === last && server.machine.hash === hash);
  }

  private summary(): string {
    return this.world.hosts
      .map(({ server, reads, index }) => {
        const { state } = server;
        const role =
          state === null ? "down" : isActiveCoordinator(state) ? "coordinator" : state.candidate !== null ? "candidate" : "follower";
        return `n${index + 1} (replica ${server.disk.durable.replica}) ${role} at slot ${server.machine.index}, ${reads.size} reads open`;
      })
      .join("; ");
  }
}
