/** Planted bugs in the log and the snapshots on disk: what is replayed, cut, recycled, synced and removed. */
import { type Mutant, SWARM, swarm } from "./mutant.js";

const WAL = "storage/segmented-wal.js";
const SCAN = "storage/segment-scan.js";
const SNAPSHOT_WRITING = "storage/snapshot-writing.js";

/** Of the list in PROTOCOL §7.6. */
const LISTED: readonly Mutant[] = [
  {
    id: "34",
    name: "Installing a snapshot drops what was accepted above it.",
    hunt: swarm("long away"),
    edits: [
      {
        file: "paxos/record.js",
        find: "dropUpTo(durable, record.meta.index, record.meta.chain, record.meta.configuration);",
        put: `dropUpTo(durable, record.meta.index, record.meta.chain, record.meta.configuration);
                if (MUTANT) {
                    durable.accepted.clear();
                }`,
      },
    ],
  },
  {
    id: "35",
    name: "The log is trimmed for a snapshot that was never synced.",
    hunt: SWARM,
    edits: [
      {
        file: SNAPSHOT_WRITING,
        find: "await this.file.sync();\n            await this.file.close();",
        put: "if (!MUTANT) {\n                await this.file.sync();\n            }\n            await this.file.close();",
      },
    ],
  },
  {
    id: "38",
    name: "A batch that was torn at the end of the log is replayed.",
    hunt: SWARM,
    edits: [
      {
        file: SCAN,
        find: "return body.length === header.bodyBytes && crc32c(body) === header.bodyCrc ? body.slice() : null;",
        put: "return body.length === header.bodyBytes && (MUTANT || crc32c(body) === header.bodyCrc) ? body.slice() : null;",
      },
    ],
  },
  {
    id: "39",
    name: "Damage in the middle of the log is taken for its torn end, and cut off.",
    hunt: swarm("a rotten log"),
    edits: [
      {
        file: SCAN,
        find: "async function hasLaterData(reader, segment, position, lsn) {\n",
        put: "async function hasLaterData(reader, segment, position, lsn) {\n    if (MUTANT) {\n        return false;\n    }\n",
      },
    ],
  },
  {
    id: "40",
    name: "After a failed sync the log goes on as if the second try had saved the data.",
    hunt: SWARM,
    edits: [
      {
        file: WAL,
        find: "segment.file.write(position, bytes, (error) => {",
        put: "segment.file.write(position, bytes, (failure) => {\n            const error = MUTANT ? null : failure;",
      },
    ],
  },
  {
    id: "53",
    name: "A start gives old segments away before the live tail is synced elsewhere.",
    hunt: SWARM,
    edits: [
      {
        file: WAL,
        find: "const before = this.live.length;",
        put: `if (MUTANT) {
            for (const old of this.live.splice(0)) {
                this.options.pool.release(old);
            }
        }
        const before = this.live.length;`,
      },
    ],
  },
  {
    id: "68",
    name: "A batch that an older generation left in a recycled segment is taken for later valid data.",
    hunt: SWARM,
    edits: [
      {
        file: SCAN,
        find: "if (header !== null && isOf(header, segment) && header.lsn >= lsn) {",
        put: "if (header !== null && (MUTANT || (isOf(header, segment) && header.lsn >= lsn))) {",
      },
    ],
  },
];

const OWN: readonly Mutant[] = [
  {
    id: "s1",
    name: "Pledges leave when the commit of their records begins.",
    hunt: SWARM,
    edits: [
      {
        file: "server/group-commit.js",
        find: "const records = recordsOf(this.flying);",
        put: `const records = recordsOf(this.flying);
            if (MUTANT) {
                for (const pledge of mergeAccepted(this.flying)) {
                    this.options.send(pledge);
                }
            }`,
      },
    ],
  },
  {
    id: "s2",
    name: "The end of a commit is told as if what queued behind it was synced as well.",
    hunt: SWARM,
    edits: [
      {
        file: "server/group-commit.js",
        find: "this.options.onPersisted(last.lsn);",
        put: "this.options.onPersisted((MUTANT ? (this.queued.at(-1) ?? last) : last).lsn);",
      },
    ],
  },
  {
    id: "s3",
    name: "A segment is recycled once its slots are decided, trimmed or not.",
    hunt: SWARM,
    edits: [
      {
        file: WAL,
        find: "oldest.maxSlot <= this.state.trimmed;",
        put: "oldest.maxSlot <= (MUTANT ? this.state.hint : this.state.trimmed);",
      },
    ],
  },
  {
    id: "s4",
    name: "A segment is recycled before the log on disk says that it is not needed.",
    hunt: SWARM,
    edits: [{ file: WAL, find: "oldest.generation < this.statedOldest;", put: "(MUTANT || oldest.generation < this.statedOldest);" }],
  },
  {
    id: "s5",
    name: "The install of a snapshot leaves the live tail in segments that it gives away.",
    hunt: swarm("long away", "crashAt"),
    edits: [
      { file: WAL, find: "this.buffer.append(liveTail(this.state));", put: "this.buffer.append(MUTANT ? [] : liveTail(this.state));" },
    ],
  },
  {
    id: "s6",
    name: "The directory is not synced after a snapshot got its name.",
    hunt: SWARM,
    edits: [
      {
        file: SNAPSHOT_WRITING,
        find: "await fileSystem.syncDirectory(directory);",
        put: "if (!MUTANT) {\n                await fileSystem.syncDirectory(directory);\n            }",
      },
    ],
  },
  {
    id: "s7",
    name: "The snapshot before is removed before the log names the new one.",
    hunt: SWARM,
    edits: [
      {
        file: "storage/disk-snapshot-store.js",
        find: "this.placed.set(index, { index, path, bytes, opened: null, readers: 0, lastServed: served });",
        put: `this.placed.set(index, { index, path, bytes, opened: null, readers: 0, lastServed: served });
        if (MUTANT && this.named !== null && index > this.named.index) {
            this.named = { ...this.named, index };
            this.removeSuperseded();
        }`,
      },
    ],
  },
  {
    id: "s8",
    name: "The header of a new segment speaks of records that are not written yet.",
    hunt: SWARM,
    edits: [
      {
        file: WAL,
        find: "const base = { ...this.state };\n        this.apply(records);",
        put: "if (MUTANT) {\n            this.apply(records);\n        }\n        const base = { ...this.state };\n        this.apply(records);",
      },
    ],
  },
  {
    id: "s9",
    name: "A start trusts the last item of the log although it may be in the system's cache only.",
    hunt: swarm("killed, then cut"),
    edits: [
      {
        file: "storage/storage.js",
        find: "await confirmLastItem(fileSystem, log);",
        put: "if (!MUTANT) {\n        await confirmLastItem(fileSystem, log);\n    }",
      },
    ],
  },
  {
    id: "s10",
    name: "The trim of the log drops one entry more than it says.",
    hunt: SWARM,
    edits: [{ file: "paxos/record.js", find: "if (held <= last) {", put: "if (held <= last + (MUTANT ? 1 : 0)) {" }],
  },
];

export const STORAGE_MUTANTS: readonly Mutant[] = [...LISTED, ...OWN];
