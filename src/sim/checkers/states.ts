/**
 * Equal state at equal slot (invariant 21): now and then every server's state is held against what others had after the same slot, and
 * against the model of the log where it is as far. Snapshots tell the hash after their slot, and are compared as well. It changes nothing.
 */
import type { Hash64 } from "../../base/hash64.js";
import type { KvStore } from "../../kv/kv-store.js";
import type { Effect, Event } from "../../paxos/effect.js";
import type { Engine } from "../engine/engine.js";
import { type Observer, Violation } from "../observer.js";
import { seconds } from "../workload/history.js";
import { comparePairs, compareTotals } from "./durability.js";
import type { Model } from "./model.js";

/** What is looked at. */
export interface Observed {
  readonly engine: Engine;
  readonly machines: readonly { readonly server: { readonly store: KvStore } | null }[];
  readonly watchers: { fail(error: unknown): void };
}

/** How often. */
const EVERY_MICROS = 2_000_000;

type Sighting = { readonly hash: Hash64; readonly server: number; readonly at: number };

export class StateChecker implements Observer {
  private readonly model: Model;
  private readonly sightings = new Map<number, Sighting>();
  /** Times that two servers were found at the same slot. */
  comparisons = 0;

  /** `model` follows the decided log. */
  constructor(model: Model) {
    this.model = model;
  }

  /** Looks every two seconds from now on. */
  start(observed: Observed): void {
    observed.engine.after(EVERY_MICROS, () => {
      try {
        this.look(observed);
      } catch (error) {
        observed.watchers.fail(error);
      }
      this.start(observed);
    });
  }

  /** Compares all servers that are between two batches. */
  look({ engine, machines }: Observed): void {
    for (const [index, { server }] of machines.entries()) {
      const store = server?.store;
      if (store !== undefined && !store.busy) {
        this.see(engine.now, index, store.appliedSlot, store.stateHash());
        if (store.appliedSlot === this.model.slot) {
          compareTotals(this.model, index, store);
          comparePairs(this.model, index, store);
        }
      }
    }
  }

  /** Snapshots and the servers' own comparisons name the hash after a slot. */
  stepped(at: number, server: number, event: Event, _effects: readonly Effect[]): void {
    if (event.kind === "checkpoint") {
      this.see(at, server, event.slot, event.stateHash);
    } else if (event.kind === "snapshotTaken" || (event.kind === "snapshotLoaded" && event.ok)) {
      this.see(at, server, event.meta.index, event.meta.stateHash);
    }
  }

  private see(at: number, server: number, slot: number, hash: Hash64): void {
    const before = this.sightings.get(slot);
    if (before === undefined) {
      this.sightings.set(slot, { hash, server, at });
      return;
    }
    this.comparisons++;
    if (before.hash !== hash) {
      const told = `n${before.server + 1} had ${before.hash} at ${seconds(before.at)} s`;
      throw new Violation("21", `after slot ${slot} n${server + 1} has state ${hash} at ${seconds(at)} s, and ${told}`);
    }
  }
}
