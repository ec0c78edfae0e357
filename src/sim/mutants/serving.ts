/** Planted bugs between clients and the protocol: batches, forwarded requests, retries, reads, what a failed request is told. */
import { type Mutant, SWARM, swarm } from "./mutant.js";

const READ_INDEX = "paxos/read-index.js";

export const SERVING_MUTANTS: readonly Mutant[] = [
  {
    id: "37",
    name: "A request asked again after a change of coordinator gets a new number, and runs twice.",
    hunt: SWARM,
    edits: [
      {
        file: "server/writes.js",
        find: "else {\n                this.againFrom++;\n            }",
        put: `else {
                this.againFrom++;
                if (MUTANT) {
                    this.window[write.seq % SESSION_OUTSTANDING_MAX] = undefined;
                    write.seq = this.nextSeq++;
                    this.window[write.seq % SESSION_OUTSTANDING_MAX] = write;
                }
            }`,
      },
    ],
  },
  {
    id: "s18",
    name: "Requests of one session share a group of a batch although their numbers have gaps.",
    hunt: SWARM,
    edits: [
      {
        file: "kv/batch.js",
        find: "last.session === session && last.firstSeq + last.count === seq)",
        put: "last.session === session && (MUTANT || last.firstSeq + last.count === seq))",
      },
    ],
  },
  {
    id: "s19",
    name: "A batch shares its bytes with the next one that is cut.",
    hunt: SWARM,
    edits: [
      {
        file: "kv/batch.js",
        find: "const payload = new Uint8Array(this.bytes);",
        put: "this.shared ??= new Uint8Array(MUTANT ? 4 * 1024 * 1024 : 0);\n        const payload = MUTANT ? this.shared : new Uint8Array(this.bytes);",
      },
    ],
  },
  {
    id: "s20",
    name: "A reply to a Forward of a former life settles a write of the present one.",
    hunt: swarm("answers to a former life"),
    edits: [
      {
        file: "server/proposals.js",
        find: "if (session === this.writes.session) {\n                    this.writes.onForwarded(seq, reply);",
        put: "if (MUTANT || session === this.writes.session) {\n                    this.writes.onForwarded(seq, reply);",
      },
    ],
  },
  {
    id: "s21",
    name: "A write that was sent and not confirmed is called not applied.",
    hunt: SWARM,
    edits: [
      {
        file: "server/writes.js",
        find: 'const outcome = write.seq === 0 ? "not-applied" : "unknown";',
        put: 'const outcome = MUTANT || write.seq === 0 ? "not-applied" : "unknown";',
      },
    ],
  },
  {
    id: "s22",
    name: "A server answers a read before it has decided the slot that the coordinator named.",
    hunt: SWARM,
    edits: [
      {
        file: READ_INDEX,
        find: "if (index !== null && index <= state.decided) {",
        put: "if (index !== null && (MUTANT || index <= state.decided)) {",
      },
      { file: "server/reads.js", find: "if (applied >= index) {", put: "if (MUTANT || applied >= index) {" },
    ],
  },
  {
    id: "s23",
    name: "The answer to a read of a former life answers a read of the present one.",
    hunt: swarm("answers to a former life"),
    edits: [
      {
        file: READ_INDEX,
        find: "if (life === lifeOf(state) && read !== undefined && read.index === null) {",
        put: "if ((MUTANT || life === lifeOf(state)) && read !== undefined && read.index === null) {",
      },
    ],
  },
  {
    id: "s24",
    name: "A late answer of a former source of catching up is taken from its first entry on.",
    hunt: SWARM,
    edits: [
      {
        file: "paxos/catch-up.js",
        find: "const fresh = reply.entries.slice(known);",
        put: "const fresh = reply.entries.slice(MUTANT ? 0 : known);",
      },
      { file: "paxos/catch-up.js", find: "if (chain !== reply.chain) {", put: "if (!MUTANT && chain !== reply.chain) {" },
    ],
  },
];
