/**
 * Nothing is lost (invariant 22): after the healing every server of the core answers for every key what the log says, and holds exactly
 * the state that the log makes: totals, keys, values, versions.
 */

import type { KvStore } from "../../kv/kv-store.js";
import { FIRST_KEY, OPEN_END } from "../../kv/model.js";
import { Violation } from "../observer.js";
import { describeOperation } from "../workload/history.js";
import type { Operation } from "../workload/operation.js";
import { labelOf } from "../workload/texts.js";
import type { Model } from "./model.js";

/** What was read at the end: `reads` are all that was answered, of every key in `keys` through every server in `servers`. */
export type Final = { readonly reads: readonly Operation[]; readonly keys: readonly string[]; readonly servers: readonly number[] };

/** Every key was read through every server, and each read is what the log says. */
export function checkFinalReads(model: Model, { reads, keys, servers }: Final): void {
  const missing = new Set(servers.flatMap((server) => keys.map((key) => `${key} through n${server + 1}`)));
  for (const read of reads) {
    missing.delete(`${read.key} through n${read.server + 1}`);
    const revision = read.output?.revision ?? 0;
    const version = model.versionAt(read.key, revision);
    if (read.outcome !== "ok" || (read.output?.value ?? null) !== (version?.value ?? null)) {
      throw new Violation("22", `at the end: ${describeOperation(read)}; the log says ${version?.value ?? "absent"}`);
    }
  }
  for (const what of missing) {
    throw new Violation("22", `at the end nobody could read ${what}`);
  }
}

/** The whole of it: the last reads, and the state of each server that is as far as the log. */
export function checkEnd(model: Model, final: Final, storeOf: (server: number) => KvStore | null): void {
  checkFinalReads(model, final);
  for (const server of final.servers) {
    const store = storeOf(server);
    if (store !== null && !store.busy && store.appliedSlot === model.slot) {
      compareTotals(model, server, store);
      comparePairs(model, server, store);
    }
  }
}

/** Whether a server at the model's slot has the totals that the log makes. */
export function compareTotals(model: Model, server: number, store: KvStore): void {
  const { revision, compactedRevision, keys, dataBytes, quotaBytes, sessions } = store.stats();
  const held = { revision, compactedRevision, keys, dataBytes, quotaBytes, sessions };
  const due = {
    revision: model.revision,
    compactedRevision: model.compacted,
    keys: model.existing,
    dataBytes: model.dataBytes,
    quotaBytes: model.quotaBytes,
    sessions: model.sessions.size,
  };
  for (const [name, value] of Object.entries(due)) {
    const own = held[name as keyof typeof held];
    if (own !== value) {
      const invariant = name === "revision" ? "25" : "21";
      throw new Violation(invariant, `n${server + 1} has ${name} ${own} after slot ${store.appliedSlot}; the log makes it ${value}`);
    }
  }
}

/** Whether a server at the model's slot has exactly the pairs that the log makes. */
export function comparePairs(model: Model, server: number, store: KvStore): void {
  const result = store.range({ key: FIRST_KEY, rangeEnd: OPEN_END });
  if (!("pairs" in result)) {
    throw new Violation("22", `n${server + 1} cannot read its own state: ${result.kind}`);
  }
  const seen = new Set<string>();
  for (const pair of result.pairs) {
    const key = labelOf(pair.key);
    seen.add(key);
    const due = model.versionAt(key, model.revision);
    const held = `${labelOf(pair.value)}, version ${pair.version}, created at ${pair.createRevision}, modified at ${pair.modRevision}`;
    const made =
      due === undefined || due.value === null
        ? "absent"
        : `${due.value}, version ${due.version}, created at ${due.create}, modified at ${due.revision}`;
    if (held !== made) {
      throw new Violation("22", `n${server + 1} has ${key} as ${held} after slot ${store.appliedSlot}; the log makes it ${made}`);
    }
  }
  for (const [key, versions] of model.keys) {
    const last = versions.at(-1);
    if (last !== undefined && last.value !== null && !seen.has(key)) {
      throw new Violation("22", `n${server + 1} lacks ${key} after slot ${store.appliedSlot}; the log makes it ${last.value}`);
    }
  }
}
