/** Planted bugs in sessions of clients: the client's numbers, and the server that carries writes under them. */
import type { Hunt, Mutant } from "./mutant.js";

const SESSION = "client/session.js";
const CLIENT_WRITES = "server/client-writes.js";

/** The client against servers that die, stay silent, refuse and forget. */
const CLIENT: Hunt = { by: "test", folder: "client", files: ["session"] };
const QUEUE: Hunt = { by: "test", folder: "server", files: ["client-writes"] };

export const SESSION_MUTANTS: readonly Mutant[] = [
  {
    id: "s46",
    name: "A client that asks again draws a new number.",
    hunt: CLIENT,
    edits: [{ file: SESSION, find: "session.fieldsOf(seq)), bounds)", put: "session.fieldsOf(MUTANT ? session.next++ : seq)), bounds)" }],
  },
  {
    id: "s47",
    name: "A client reports numbers as acknowledged that it may ask for again.",
    hunt: CLIENT,
    edits: [
      {
        file: SESSION,
        find: "this.firstUnacked < this.next && !this.open.has(this.firstUnacked)",
        put: "this.firstUnacked < this.next && (MUTANT || !this.open.has(this.firstUnacked))",
      },
    ],
  },
  {
    id: "s48",
    name: "A write that may have been applied is asked anew in a new session.",
    hunt: CLIENT,
    edits: [
      {
        file: SESSION,
        find: 'if (error.outcome === "unknown" || renewals',
        put: 'if ((!MUTANT && error.outcome === "unknown") || renewals',
      },
    ],
  },
  {
    id: "s49",
    name: "A session that expired while slots were skipped proves that nothing was applied.",
    hunt: QUEUE,
    edits: [{ file: CLIENT_WRITES, find: "write.isDoubtful = write.wasSent;", put: "write.isDoubtful = !MUTANT && write.wasSent;" }],
  },
  {
    id: "s50",
    name: "The coordinator's word that a session is gone settles a write that may have been applied.",
    hunt: QUEUE,
    edits: [
      {
        file: CLIENT_WRITES,
        find: 'if (reply.kind !== "error" || (reply.error.kind',
        put: 'if (MUTANT || reply.kind !== "error" || (reply.error.kind',
      },
    ],
  },
];
