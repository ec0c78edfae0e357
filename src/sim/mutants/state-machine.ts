/** Planted bugs in the state machine: sessions, memory of keys and values, snapshots of it, the order of applying. */
import { type Mutant, SWARM, swarm } from "./mutant.js";

const SESSIONS = "kv/session-table.js";
const VIEW = "kv/snapshot-view.js";

/** Of the list in PROTOCOL §7.6. */
const LISTED: readonly Mutant[] = [
  {
    id: "36",
    name: "Sessions are missing from snapshots.",
    hunt: SWARM,
    edits: [
      {
        file: VIEW,
        find: "this.writer.varint(this.image.ids.length).varint(",
        put: "this.writer.varint(MUTANT ? 0 : this.image.ids.length).varint(",
      },
      { file: VIEW, find: "for (const id of this.image.ids) {", put: "for (const id of MUTANT ? [] : this.image.ids) {" },
      {
        file: "kv/snapshot-restore.js",
        find: 'expectEqual("state hash", store.stateHash(), header.stateHash);',
        put: 'expectEqual("state hash", MUTANT ? header.stateHash : store.stateHash(), header.stateHash);',
      },
    ],
  },
  {
    id: "46",
    name: "Snapshots and reads see a batch half applied.",
    hunt: SWARM,
    edits: [
      {
        file: "server/applier.js",
        find: "if (!this.kv.continueBatch(Math.min(units, SLICE_UNITS))) {",
        put: `if (!this.kv.continueBatch(MUTANT ? 1 : Math.min(units, SLICE_UNITS))) {
                if (MUTANT) {
                    const before = this.appliedSlot;
                    this.appliedSlot = slot;
                    this.options.onApplied(slot, 0);
                    this.appliedSlot = before;
                }`,
      },
      {
        file: "kv/store.js",
        find: "this.batch = { slot, cursor: new BatchCursor(payload), sink };",
        put: "this.batch = { slot, cursor: new BatchCursor(payload), sink };\n        this.applied = MUTANT ? slot : this.applied;",
      },
      {
        file: "kv/store.js",
        find: 'assert(!this.busy, "a view is of the state between batches");',
        put: 'assert(MUTANT || !this.busy, "a view is of the state between batches");',
      },
      {
        file: "kv/store.js",
        find: 'assert(!this.busy, "the state between the slices of a batch has no hash");',
        put: 'assert(MUTANT || !this.busy, "the state between the slices of a batch has no hash");',
      },
    ],
  },
  {
    id: "52",
    name: "A session is named by the slot of its registration.",
    hunt: SWARM,
    edits: [
      {
        file: SESSIONS,
        find: "const session = new Session(sessionId(this.nextId++));",
        put: "const counted = this.nextId++;\n        const session = new Session(sessionId(MUTANT ? slot : counted));",
      },
    ],
  },
];

const OWN: readonly Mutant[] = [
  {
    id: "s11",
    name: "The size of a record is rounded down, so that the next one begins inside it.",
    hunt: SWARM,
    edits: [
      {
        file: "kv/slab.js",
        find: "return (RECORD_HEADER_BYTES + keyLength + valueLength + 3) & ~3;",
        put: "return (RECORD_HEADER_BYTES + keyLength + valueLength + (MUTANT ? 0 : 3)) & ~3;",
      },
    ],
  },
  {
    id: "s12",
    name: "A link to a version that was freed, its row used again, is followed.",
    hunt: SWARM,
    edits: [
      {
        file: "kv/versions.js",
        find: "return revision !== 0 && revision <= this.revisionOf(row) ? target : NO_ROW;",
        put: "return MUTANT || (revision !== 0 && revision <= this.revisionOf(row)) ? target : NO_ROW;",
      },
    ],
  },
  {
    id: "s13",
    name: "A snapshot holds the newest versions instead of those of the moment it was opened at.",
    hunt: swarm("long away"),
    edits: [
      {
        file: VIEW,
        find: "const row = mvcc.versions.revisionOf(newest) <= this.revision ?",
        put: "const row = MUTANT || mvcc.versions.revisionOf(newest) <= this.revision ?",
      },
    ],
  },
  {
    id: "s14",
    name: "History is reclaimed below an open snapshot.",
    hunt: SWARM,
    edits: [
      { file: VIEW, find: "mvcc.holds++;", put: "mvcc.holds += MUTANT ? 0 : 1;" },
      { file: VIEW, find: "this.source.mvcc.holds--;", put: "this.source.mvcc.holds -= MUTANT ? 0 : 1;" },
    ],
  },
  {
    id: "s15",
    name: "A snapshot holds sessions as they are when they are written, not when it was opened.",
    hunt: SWARM,
    edits: [
      {
        file: SESSIONS,
        find: "const session = image.saved.get(id) ?? this.sessions.get(id);",
        put: "const session = (MUTANT ? undefined : image.saved.get(id)) ?? this.sessions.get(id) ?? image.saved.get(id);",
      },
    ],
  },
  {
    id: "s16",
    name: "A session forgets replies that its client has not acknowledged.",
    hunt: SWARM,
    edits: [
      {
        file: SESSIONS,
        find: "while (session.prunedTo < firstUnacked && session.kept > 0) {",
        put: "while (session.prunedTo < (MUTANT ? session.executedEnd : firstUnacked) && session.kept > 0) {",
      },
    ],
  },
  {
    id: "s17",
    name: "A compare-and-swap compares how long the values are.",
    hunt: SWARM,
    edits: [
      {
        file: "kv/compare.js",
        find: "compareBytes(bytes.subarray(valueFrom, valueFrom + valueLength), compare.operand)",
        put: "MUTANT ? valueLength - compare.operand.length : compareBytes(bytes.subarray(valueFrom, valueFrom + valueLength), compare.operand)",
      },
    ],
  },
];

export const STATE_MUTANTS: readonly Mutant[] = [...LISTED, ...OWN];
