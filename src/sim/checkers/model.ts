/**
 * The state machine as the checkers understand it: what the decided log means, written a second time and in the plainest way, for the
 * commands that clients and servers of a run use. It shares formats with the store and no logic. Values are known by their labels.
 */
import { assert } from "../../base/assert.js";
import { BatchCursor } from "../../kv/batch.js";
import { type Command, decodeCommand } from "../../kv/command.js";
import { QUOTA_BYTES_DEFAULT, SESSION_OUTSTANDING_MAX, SESSIONS_MAX, VERSION_OVERHEAD_BYTES } from "../../kv/limits.js";
import { labelOf } from "../workload/texts.js";

/** One state of a key, from `revision` on; `value` is null where it was deleted. */
export type Version = {
  readonly revision: number;
  readonly value: string | null;
  readonly create: number;
  readonly version: number;
  readonly bytes: number;
};

/** What a client's command came to when it ran for the first and only time. */
export type Execution = {
  readonly slot: number;
  /** When the slot was first applied anywhere. Microseconds of true time. */
  readonly at: number;
  readonly kind: "put" | "delete" | "cas";
  readonly key: string;
  /** The value written, of a put or cas. */
  readonly value: string | null;
  /** What a cas compares with; null for an absent key. */
  readonly expected: string | null;
  /** done: it changed the state, or found nothing to change. not-swapped: the compare failed. refused: for want of space. */
  readonly result: "done" | "nothing" | "not-swapped" | "refused";
  /** The store's after it. */
  readonly revision: number;
  readonly session: number;
  readonly seq: number;
};

type Session = { prunedTo: number; lastSlot: number; readonly executed: Set<number> };
/** What compacting past `revision` frees. */
type Freed = { readonly revision: number; readonly bytes: number };
type Origin = { readonly slot: number; readonly at: number; readonly session: number; readonly seq: number };
type Write = Pick<Execution, "kind" | "key" | "value" | "expected">;

export class Model {
  /** The last slot applied. */
  slot = 0;
  revision = 1;
  compacted = 0;
  quotaBytes = QUOTA_BYTES_DEFAULT;
  dataBytes = 0;
  /** Requests that were in the log again and did not run again. */
  repeats = 0;
  /** Requests that the rules of sessions kept from running at all. */
  turnedAway = 0;
  /** Sessions that expired, by number or by age. */
  expired = 0;
  /** By id, the one used least recently first. */
  readonly sessions = new Map<number, Session>();
  /** Every key that was ever written, its versions in order of revision. */
  readonly keys = new Map<string, Version[]>();
  private readonly onExecution: (execution: Execution) => void;
  private readonly sessionsMax: number;
  private readonly freed: Freed[] = [];
  private freedFrom = 0;
  private nextSession = 1;

  constructor(onExecution: (execution: Execution) => void, sessionsMax: number = SESSIONS_MAX) {
    this.onExecution = onExecution;
    this.sessionsMax = sessionsMax;
  }

  /** Keys that exist. */
  get existing(): number {
    let count = 0;
    for (const versions of this.keys.values()) {
      count += (versions.at(-1)?.value ?? null) === null ? 0 : 1;
    }
    return count;
  }

  /** The state of a key at a revision; undefined before it was first written. */
  versionAt(key: string, revision: number): Version | undefined {
    const versions = this.keys.get(key) ?? [];
    let low = 0;
    let high = versions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((versions[middle] as Version).revision <= revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return versions[low - 1];
  }

  /** The next slot decided nothing for the state machine. */
  skip(slot: number): void {
    assert(slot === this.slot + 1, "the model applies slots in order");
    this.slot = slot;
  }

  /** The next slot, first applied at `at`, decided these commands. */
  apply(slot: number, payload: Uint8Array, at: number): void {
    assert(slot === this.slot + 1, "the model applies slots in order");
    const cursor = new BatchCursor(payload);
    while (cursor.nextGroup()) {
      const session = this.use(cursor, slot);
      while (cursor.nextCommand()) {
        const open = session === null || this.sessions.has(cursor.session) ? session : undefined; // a request may close its own session
        if (open === null || this.admits(open, cursor.seq)) {
          const command = decodeCommand(payload.subarray(cursor.commandFrom, cursor.commandEnd));
          this.run(command, { slot, at, session: cursor.session, seq: cursor.seq });
        }
      }
    }
    this.slot = slot;
  }

  /** The session of a group, its acknowledged requests forgotten; null for none, undefined for one that is not there. */
  private use(cursor: BatchCursor, slot: number): Session | null | undefined {
    if (cursor.session === 0) {
      return null;
    }
    const session = this.sessions.get(cursor.session);
    if (session !== undefined) {
      this.sessions.delete(cursor.session);
      this.sessions.set(cursor.session, session);
      session.lastSlot = slot;
      for (; session.prunedTo < cursor.firstUnacked; session.prunedTo++) {
        session.executed.delete(session.prunedTo);
      }
    }
    return session;
  }

  private admits(session: Session | undefined, seq: number): boolean {
    if (session === undefined || seq < session.prunedTo || seq - session.prunedTo >= SESSION_OUTSTANDING_MAX) {
      this.turnedAway++;
      return false;
    }
    if (session.executed.has(seq)) {
      this.repeats++;
      return false;
    }
    session.executed.add(seq);
    return true;
  }

  private run(command: Command, origin: Origin): void {
    switch (command.kind) {
      case "put": {
        assert(command.prevKv !== true && command.ignoreValue !== true, "clients of a run put without options");
        const write: Write = { kind: "put", key: labelOf(command.key), value: labelOf(command.value), expected: null };
        this.put(write, command.key.length, command.value.length, origin);
        return;
      }
      case "deleteRange":
        assert(command.rangeEnd === undefined, "clients of a run delete one key at a time");
        this.delete(labelOf(command.key), command.key.length, origin);
        return;
      case "txn":
        this.swap(command, origin);
        return;
      case "compact":
        this.compact(command.revision);
        return;
      case "registerSession":
        this.register(origin.slot);
        return;
      case "expireSessions":
        for (const [id, session] of this.sessions) {
          if (session.lastSlot < command.usedBelowSlot) {
            this.sessions.delete(id);
            this.expired++;
          }
        }
        return;
      case "closeSession":
        this.sessions.delete(command.session);
        return;
      case "setQuota":
        this.quotaBytes = command.bytes;
        return;
      case "skipRevisions":
        this.revision += command.by;
        this.compact(this.revision);
        return;
    }
  }

  private register(slot: number): void {
    this.sessions.set(this.nextSession++, { prunedTo: 0, lastSlot: slot, executed: new Set() });
    const [oldest] = this.sessions.keys();
    if (this.sessions.size > this.sessionsMax && oldest !== undefined) {
      this.sessions.delete(oldest);
      this.expired++;
    }
  }

  private tell(write: Write, result: Execution["result"], { slot, at, session, seq }: Origin): void {
    this.onExecution({ ...write, result, slot, at, revision: this.revision, session, seq });
  }

  private put(write: Write, keyBytes: number, valueBytes: number, origin: Origin): void {
    const bytes = keyBytes + valueBytes + VERSION_OVERHEAD_BYTES;
    if (this.dataBytes + bytes > this.quotaBytes) {
      this.tell(write, "refused", origin);
      return;
    }
    const versions = this.versionsOf(write.key);
    const last = versions.at(-1);
    this.revision++;
    this.dataBytes += bytes;
    if (last === undefined || last.value === null) {
      versions.push({ revision: this.revision, value: write.value, create: this.revision, version: 1, bytes });
    } else {
      versions.push({ revision: this.revision, value: write.value, create: last.create, version: last.version + 1, bytes });
      this.freed.push({ revision: this.revision, bytes: last.bytes });
    }
    this.tell(write, "done", origin);
  }

  private delete(key: string, keyBytes: number, origin: Origin): void {
    const write: Write = { kind: "delete", key, value: null, expected: null };
    const versions = this.versionsOf(key);
    const last = versions.at(-1);
    if (last === undefined || last.value === null) {
      this.tell(write, "nothing", origin);
      return;
    }
    const bytes = keyBytes + VERSION_OVERHEAD_BYTES;
    this.revision++;
    this.dataBytes += bytes;
    versions.push({ revision: this.revision, value: null, create: 0, version: 0, bytes });
    this.freed.push({ revision: this.revision, bytes: last.bytes + bytes });
    this.tell(write, "done", origin);
  }

  private swap(txn: Extract<Command, { readonly kind: "txn" }>, origin: Origin): void {
    const [compare] = txn.compares;
    const [put] = txn.success;
    assert(compare !== undefined && put?.kind === "put", "transactions of a run compare and swap");
    assert(txn.compares.length === 1 && txn.success.length === 1 && txn.failure.length === 0, "they do nothing else");
    assert(compare.result === "equal", "they compare for being equal");
    const key = labelOf(compare.key);
    const expected = compare.target === "value" ? labelOf(compare.operand) : null;
    const write: Write = { kind: "cas", key, value: labelOf(put.value), expected };
    const present = this.versionsOf(key).at(-1)?.value ?? null;
    if (present !== expected || labelOf(put.key) !== key) {
      this.tell(write, "not-swapped", origin);
    } else {
      this.put(write, put.key.length, put.value.length, origin);
    }
  }

  /** History up to `to` does not count any more. */
  private compact(to: number): void {
    if (to <= this.compacted || to > this.revision) {
      return;
    }
    this.compacted = to;
    for (let next = this.freed[this.freedFrom]; next !== undefined && next.revision <= to; next = this.freed[this.freedFrom]) {
      this.dataBytes -= next.bytes;
      this.freedFrom++;
    }
  }

  private versionsOf(key: string): Version[] {
    let versions = this.keys.get(key);
    if (versions === undefined) {
      versions = [];
      this.keys.set(key, versions);
    }
    return versions;
  }
}
