/** The disk of one server, opened: what the server layer is given of it. */
import type { Storage } from "../storage/storage.js";

/** Nothing may be committed after `close` was called. */
export type ServerStorage = Pick<Storage, "wal" | "snapshots" | "warnings" | "spaceLow" | "diskBytes" | "close">;
