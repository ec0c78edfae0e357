/**
 * The store as one would write it without caring for speed: a list of all events, replayed for each read. The property tests
 * hold the real store against it. Shares types and the numbers of limits with the store, and no code.
 */
import type { Command } from "../command.js";
import type { KvError, KvErrorKind } from "../error.js";
import { SESSION_OUTSTANDING_MAX, TXN_OPERATIONS_MAX, VERSION_OVERHEAD_BYTES } from "../limits.js";
import type {
  Compare,
  DeleteRangeRequest,
  HistoryEvent,
  LeaseId,
  Operation,
  OperationResult,
  Pair,
  PutRequest,
  RangeRequest,
  RangeResult,
  Revision,
  SessionId,
  TxnRequest,
} from "../model.js";
import type { Reply } from "../reply.js";

type Event = { readonly revision: number; readonly name: string; readonly pair: Pair | undefined };
type Pairs = ReadonlyMap<string, Pair>;
type ModelSession = { readonly id: number; lastSlot: number; lastUse: number; prunedTo: number; readonly replies: Map<number, Reply> };

/** Hexadecimal: sorts like the bytes. */
export function nameOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

class Refused extends Error {
  readonly kvError: KvError;
  constructor(kind: KvErrorKind, limit = 0, size = 0) {
    super(kind);
    this.kvError = { kind, limit, size };
  }
}

function inRange(name: string, request: { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array }): boolean {
  const from = nameOf(request.key);
  if (request.rangeEnd === undefined) {
    return name === from;
  }
  const end = nameOf(request.rangeEnd);
  return name >= from && (end === "00" || name < end);
}

function sorted(pairs: Iterable<[string, Pair]>): [string, Pair][] {
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

export class NaiveModel {
  revision = 1;
  compacted = 0;
  quota = 2 ** 31;
  nextSession = 1;
  events: Event[] = [];
  readonly sessions = new Map<number, ModelSession>();
  private uses = 0;
  private readonly sessionsMax: number;

  constructor(sessionsMax: number) {
    this.sessionsMax = sessionsMax;
  }

  /** The pairs that exist at a revision. */
  at(revision: number): Map<string, Pair> {
    const pairs = new Map<string, Pair>();
    for (const event of this.events) {
      if (event.revision > revision) {
        break;
      }
      if (event.pair === undefined) {
        pairs.delete(event.name);
      } else {
        pairs.set(event.name, event.pair);
      }
    }
    return pairs;
  }

  /** Replicated bytes, counted one by one. */
  dataBytes(): number {
    let bytes = 0;
    const seen = new Set<string>();
    for (const event of [...this.events].reverse()) {
      const old = event.revision <= this.compacted;
      if (!old || (!seen.has(event.name) && event.pair !== undefined)) {
        bytes += event.name.length / 2 + (event.pair?.value.length ?? 0) + VERSION_OVERHEAD_BYTES;
      }
      if (old) {
        seen.add(event.name);
      }
    }
    return bytes;
  }

  eventsFrom(from: number): HistoryEvent[] {
    return this.events
      .filter((event) => event.revision >= from)
      .map((event) =>
        event.pair === undefined
          ? { kind: "delete", key: new Uint8Array(Buffer.from(event.name, "hex")), modRevision: event.revision as Revision }
          : { kind: "put", pair: event.pair },
      );
  }

  range(request: RangeRequest, now = this.revision): RangeResult | KvError {
    try {
      return this.readRange(request, now);
    } catch (error) {
      if (error instanceof Refused) {
        return error.kvError;
      }
      throw error;
    }
  }

  request(use: { slot: number; session: number; seq: number; firstUnacked: number }, command: Command): Reply {
    if (use.session === 0) {
      return this.execute(command, use.slot);
    }
    const session = this.sessions.get(use.session);
    if (session === undefined) {
      return this.error("session-expired");
    }
    session.lastSlot = use.slot;
    session.lastUse = ++this.uses;
    session.prunedTo = Math.max(session.prunedTo, use.firstUnacked);
    for (const seq of session.replies.keys()) {
      if (seq < session.prunedTo) {
        session.replies.delete(seq);
      }
    }
    if (use.seq < session.prunedTo) {
      return this.error("stale-sequence");
    }
    if (use.seq >= session.prunedTo + SESSION_OUTSTANDING_MAX) {
      return this.error("too-many-outstanding");
    }
    const kept = session.replies.get(use.seq);
    if (kept !== undefined) {
      return kept;
    }
    const reply = this.execute(command, use.slot);
    session.replies.set(use.seq, reply);
    return reply;
  }

  private error(kind: KvErrorKind): Reply {
    return { kind: "error", revision: this.revision as Revision, error: { kind, limit: 0, size: 0 } };
  }

  private execute(command: Command, slot: number): Reply {
    const events = this.events.slice();
    const revision = this.revision;
    try {
      return this.run(command, slot);
    } catch (error) {
      if (!(error instanceof Refused)) {
        throw error;
      }
      this.events = events;
      this.revision = revision;
      return { kind: "error", revision: revision as Revision, error: error.kvError };
    }
  }

  private run(command: Command, slot: number): Reply {
    const at = this.revision + 1;
    const finish = <T extends Reply>(reply: T): T => {
      const changed = this.events.at(-1)?.revision === at;
      this.revision = changed ? at : this.revision;
      return { ...reply, revision: this.revision as Revision };
    };
    switch (command.kind) {
      case "put": {
        this.checkPut(command);
        this.checkExisting(command);
        this.checkQuota(this.weight(command));
        return finish({ kind: "put", ...this.put(command, at) });
      }
      case "deleteRange":
        this.need(command.key);
        return finish({ kind: "deleteRange", ...this.deleteRange(command, at) });
      case "txn":
        return this.txn(command, at, finish);
      case "compact":
        if (command.revision <= this.compacted) {
          throw new Refused("compacted");
        }
        if (command.revision > this.revision) {
          throw new Refused("future-revision");
        }
        this.compacted = command.revision;
        return { kind: "compact", revision: this.revision as Revision };
      case "skipRevisions":
        this.revision += command.by;
        this.compacted = this.revision;
        return { kind: "compact", revision: this.revision as Revision };
      case "registerSession": {
        const id = this.nextSession++;
        this.sessions.set(id, { id, lastSlot: slot, lastUse: ++this.uses, prunedTo: 0, replies: new Map() });
        if (this.sessions.size > this.sessionsMax) {
          const [oldest] = [...this.sessions.values()].sort((a, b) => a.lastUse - b.lastUse);
          this.sessions.delete((oldest as ModelSession).id);
        }
        return { kind: "registered", revision: this.revision as Revision, session: id as SessionId, nonce: command.nonce };
      }
      case "closeSession": {
        const count = this.sessions.delete(command.session) ? 1 : 0;
        return { kind: "sessionsExpired", revision: this.revision as Revision, count };
      }
      case "expireSessions": {
        const gone = [...this.sessions.values()].filter((session) => session.lastSlot < command.usedBelowSlot);
        for (const session of gone) {
          this.sessions.delete(session.id);
        }
        return { kind: "sessionsExpired", revision: this.revision as Revision, count: gone.length };
      }
      case "setQuota":
        this.quota = command.bytes;
        return { kind: "quotaSet", revision: this.revision as Revision };
    }
  }

  private need(key: Uint8Array): void {
    if (key.length === 0) {
      throw new Refused("key-not-provided");
    }
  }

  private checkPut(put: PutRequest): void {
    this.need(put.key);
    if (put.ignoreValue === true && put.value.length > 0) {
      throw new Refused("value-provided");
    }
    if (put.ignoreLease === true && (put.lease ?? 0n) !== 0n) {
      throw new Refused("lease-provided");
    }
  }

  private checkExisting(put: PutRequest): void {
    if ((put.ignoreValue === true || put.ignoreLease === true) && !this.at(this.revision).has(nameOf(put.key))) {
      throw new Refused("key-not-found");
    }
  }

  private weight(put: PutRequest): number {
    const value = put.ignoreValue === true ? this.at(this.revision).get(nameOf(put.key))?.value : put.value;
    return put.key.length + (value?.length ?? 0) + VERSION_OVERHEAD_BYTES;
  }

  private checkQuota(weight: number): void {
    const size = this.dataBytes() + weight;
    if (weight > 0 && size > this.quota) {
      throw new Refused("quota-exceeded", this.quota, size);
    }
  }

  private put(put: PutRequest, at: number): { revision: Revision; previous?: Pair } {
    const name = nameOf(put.key);
    const before = this.at(at).get(name);
    const pair: Pair = {
      key: put.key,
      value: put.ignoreValue === true ? (before as Pair).value : put.value,
      createRevision: before?.createRevision ?? (at as Revision),
      modRevision: at as Revision,
      version: (before?.version ?? 0) + 1,
      lease: put.ignoreLease === true ? (before as Pair).lease : (put.lease ?? (0n as LeaseId)),
    };
    this.events.push({ revision: at, name, pair });
    const revision = at as Revision;
    return put.prevKv === true && before !== undefined ? { revision, previous: before } : { revision };
  }

  private deleteRange(request: DeleteRangeRequest, at: number): { revision: Revision; deleted: number; previous: Pair[] } {
    const gone = sorted(this.at(at)).filter(([name]) => inRange(name, request));
    for (const [name] of gone) {
      this.events.push({ revision: at, name, pair: undefined });
    }
    const changed = this.events.at(-1)?.revision === at;
    const previous = request.prevKv === true ? gone.map(([, pair]) => pair) : [];
    return { revision: (changed ? at : at - 1) as Revision, deleted: gone.length, previous };
  }

  private readRange(request: RangeRequest, now: number): RangeResult {
    this.need(request.key);
    const asked = request.revision ?? 0;
    if (asked > now) {
      throw new Refused("future-revision");
    }
    if (asked > 0 && asked < this.compacted) {
      throw new Refused("compacted");
    }
    const all = sorted(this.at(asked > 0 ? asked : now)).filter(([name]) => inRange(name, request));
    const {
      minModRevision: minMod = 0,
      maxModRevision: maxMod = 0,
      minCreateRevision: minCreate = 0,
      maxCreateRevision: maxCreate = 0,
    } = request;
    let pairs = all
      .map(([, pair]) => pair)
      .filter((pair) => (minMod === 0 || pair.modRevision >= minMod) && (maxMod === 0 || pair.modRevision <= maxMod))
      .filter((pair) => (minCreate === 0 || pair.createRevision >= minCreate) && (maxCreate === 0 || pair.createRevision <= maxCreate));
    const target = request.sortTarget ?? "key";
    const sign = request.sortOrder === "descend" ? -1 : 1;
    const field = (pair: Pair): number | string => {
      switch (target) {
        case "key":
          return nameOf(pair.key);
        case "value":
          return nameOf(pair.value);
        case "version":
          return pair.version;
        case "create":
          return pair.createRevision;
        case "mod":
          return pair.modRevision;
      }
    };
    pairs = pairs.sort((a, b) => (field(a) < field(b) ? -sign : field(a) > field(b) ? sign : 0));
    const limit = request.limit ?? 0;
    const more = request.countOnly !== true && limit > 0 && pairs.length > limit;
    pairs = request.countOnly === true ? [] : limit > 0 ? pairs.slice(0, limit) : pairs;
    if (request.keysOnly === true) {
      pairs = pairs.map((pair) => ({ ...pair, value: new Uint8Array(0) }));
    }
    return { revision: now as Revision, pairs, more, count: all.length };
  }

  private holds(compare: Compare, pairs: Pairs): boolean {
    const of = (pair: Pair | undefined): boolean => {
      let order: number;
      if (compare.target === "value") {
        if (pair === undefined) {
          return false;
        }
        order = Buffer.compare(pair.value, compare.operand);
      } else {
        const fields = { version: pair?.version, create: pair?.createRevision, mod: pair?.modRevision, lease: pair?.lease };
        const field = BigInt(fields[compare.target] ?? 0);
        order = field < compare.operand ? -1 : field > compare.operand ? 1 : 0;
      }
      return { equal: order === 0, "not-equal": order !== 0, greater: order > 0, less: order < 0 }[compare.result];
    };
    const matching = [...pairs].filter(([name]) => inRange(name, compare)).map(([, pair]) => pair);
    return matching.length === 0 ? of(undefined) : matching.every(of);
  }

  private checkTxn(txn: TxnRequest, budget: number): void {
    const most = Math.max(txn.compares.length, txn.success.length, txn.failure.length);
    if (most > budget) {
      throw new Refused("too-many-operations", budget, most);
    }
    for (const compare of txn.compares) {
      this.need(compare.key);
    }
    for (const operation of [...txn.success, ...txn.failure]) {
      if (operation.kind === "put") {
        this.checkPut(operation);
      } else if (operation.kind === "txn") {
        this.checkTxn(operation, budget - most);
      } else {
        this.need(operation.key);
      }
    }
  }

  /** The rule of etcd's checkIntervals, read off its source. */
  private checkIntervals(operations: readonly Operation[]): { puts: Set<string>; deletes: DeleteRangeRequest[] } {
    const deletes: DeleteRangeRequest[] = operations.filter((operation) => operation.kind === "deleteRange");
    const puts = new Set<string>();
    const add = (name: string, allowed: ReadonlySet<string>): void => {
      if ((puts.has(name) && !allowed.has(name)) || deletes.some((range) => inRange(name, range))) {
        throw new Refused("duplicate-key");
      }
      puts.add(name);
    };
    for (const operation of operations) {
      if (operation.kind === "txn") {
        const success = this.checkIntervals(operation.success);
        const failure = this.checkIntervals(operation.failure);
        for (const name of success.puts) {
          add(name, new Set());
        }
        for (const name of failure.puts) {
          add(name, success.puts);
        }
        deletes.push(...success.deletes, ...failure.deletes);
      }
    }
    for (const operation of operations) {
      if (operation.kind === "put") {
        add(nameOf(operation.key), new Set());
      }
    }
    return { puts, deletes };
  }

  private txn(txn: TxnRequest, at: number, finish: (reply: Reply) => Reply): Reply {
    this.checkTxn(txn, TXN_OPERATIONS_MAX);
    this.checkIntervals(txn.success);
    this.checkIntervals(txn.failure);
    const before = this.at(this.revision);
    const chosen: Operation[] = [];
    const choose = (next: TxnRequest): void => {
      const branch = next.compares.every((compare) => this.holds(compare, before)) ? next.success : next.failure;
      for (const operation of branch) {
        chosen.push(operation);
        if (operation.kind === "txn") {
          choose(operation);
        }
      }
    };
    choose(txn);
    let weight = 0;
    for (const operation of chosen) {
      if (operation.kind === "put") {
        this.checkExisting(operation);
        weight += this.weight(operation);
      }
    }
    for (const operation of chosen) {
      if (operation.kind === "range") {
        this.readRange(operation, this.revision);
      }
    }
    this.checkQuota(weight);
    const result = this.runTxn(txn, at, before);
    const reply = finish({ kind: "txn", ...result });
    const patch = (results: readonly OperationResult[]): readonly OperationResult[] =>
      results.map((inner) => (inner.kind === "txn" ? { ...inner, revision: reply.revision, results: patch(inner.results) } : inner));
    return { kind: "txn", revision: reply.revision, succeeded: result.succeeded, results: patch(result.results) };
  }

  private runTxn(txn: TxnRequest, at: number, before: Pairs): { revision: Revision; succeeded: boolean; results: OperationResult[] } {
    const succeeded = txn.compares.every((compare) => this.holds(compare, before));
    const runOne = (operation: Operation): OperationResult => {
      const now = this.events.at(-1)?.revision === at ? at : at - 1;
      switch (operation.kind) {
        case "put":
          return { kind: "put", ...this.put(operation, at) };
        case "deleteRange":
          return { kind: "deleteRange", ...this.deleteRange(operation, at) };
        case "range":
          return { kind: "range", ...this.readRange(operation, now) };
        case "txn":
          return { kind: "txn", ...this.runTxn(operation, at, before) };
      }
    };
    const results = (succeeded ? txn.success : txn.failure).map(runOne);
    return { revision: at as Revision, succeeded, results };
  }
}
