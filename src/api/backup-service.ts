/**
 * Backup of synod.Admin: the whole state as a stream, in slices between the requests, as fast as its client takes it. One at a time on a
 * server, since each holds memory back; and one whose client takes nothing is ended.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BackupEndSchema, BackupHeadSchema, type BackupPart, BackupPartSchema, BackupRequestSchema } from "../gen/admin_pb.js";
import type { ServerStream, StreamHandler } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { encodeConfiguration } from "../paxos/configuration.js";
import type { Micros } from "../paxos/ids.js";
import type { Backup } from "../server/backup.js";
import type { ReadWaiter } from "../server/reads.js";
import type { Server } from "../server/server.js";
import type { StoreError } from "../server/store-error.js";
import { REQUEST_MS_MAX } from "./calls.js";
import { ofStoreError } from "./errors.js";

/** Work on one backup in one turn, in the state machine's units of about a microsecond, and the pause after it, ms. */
const SLICE_UNITS = 1500;
const PAUSE_MS = 1;
/** A client that takes nothing for so long is given up, ms. */
export const BACKUP_STALL_MS = 30_000;
const MICROS_A_MILLI = 1000;

type BackupSource = Pick<Backup, "base" | "revision" | "clusterId" | "lineage" | "done" | "next" | "end" | "close">;
export type BackupServer = Pick<Server, "read" | "nowMicros"> & { openBackup(): BackupSource };

/** `waitMs`: how long the read before it may wait where the request does not say. `stallMs` is shorter in tests only. */
export function backupHandler(server: BackupServer, waitMs: number, stallMs: number = BACKUP_STALL_MS): StreamHandler {
  let running: BackupCall | null = null;
  const begin = (stream: ServerStream, asked: number): void => {
    if (running !== null) {
      stream.end(GRPC_STATUS.RESOURCE_EXHAUSTED, "Another backup of this server is under way: wait for it, or ask another server.");
      return;
    }
    const call = new BackupCall(server, stream, {
      deadline: server.nowMicros() + Math.min(asked === 0 ? waitMs : asked, REQUEST_MS_MAX) * MICROS_A_MILLI,
      stallMs,
      onEnd: () => {
        running = null;
      },
    });
    running = call;
    server.read(call);
  };
  return (stream) => {
    stream.onMessage((message) => {
      const asked = waitOf(message);
      if (asked === null) {
        stream.end(GRPC_STATUS.INVALID_ARGUMENT, "The request is no valid BackupRequest.");
      } else {
        begin(stream, asked);
      }
    });
  };
}

function waitOf(message: Uint8Array): number | null {
  try {
    return Number(fromBinary(BackupRequestSchema, message).waitMs);
  } catch {
    return null;
  }
}

type Bounds = { readonly deadline: Micros; readonly stallMs: number; readonly onEnd: () => void };

class BackupCall implements ReadWaiter {
  readonly deadline: Micros;
  private readonly server: BackupServer;
  private readonly stream: ServerStream;
  private readonly bounds: Bounds;
  private backup: BackupSource | null = null;
  /** A part that the stream would not take yet. */
  private held: Uint8Array | null = null;
  private timer: NodeJS.Timeout | null = null;
  private saidEnd = false;
  private ended = false;

  constructor(server: BackupServer, stream: ServerStream, bounds: Bounds) {
    this.server = server;
    this.stream = stream;
    this.bounds = bounds;
    this.deadline = bounds.deadline;
    stream.onCancel(() => this.finish());
    stream.onDrain(() => this.go());
  }

  isGone(): boolean {
    return this.ended;
  }

  fail(error: StoreError): void {
    const { status, text } = ofStoreError(error);
    this.stream.end(status, text);
    this.finish();
  }

  answer(): void {
    if (this.ended) {
      return;
    }
    const backup = this.server.openBackup();
    this.backup = backup;
    this.send({
      case: "head",
      value: create(BackupHeadSchema, {
        clusterId: backup.clusterId.toString(16).padStart(16, "0"),
        lineage: BigInt(backup.lineage.number),
        slot: BigInt(backup.base.index),
        revision: BigInt(backup.revision),
        chain: backup.base.chain,
        stateHash: backup.base.stateHash,
        configuration: encodeConfiguration(backup.base.configuration),
      }),
    });
    this.later();
  }

  /** Goes on after the rest of the server had its turn; while a part is held, only a drain or the end of patience does. */
  private later(): void {
    clearTimeout(this.timer ?? undefined);
    this.timer = this.held === null ? setTimeout(() => this.go(), PAUSE_MS) : setTimeout(() => this.giveUp(), this.bounds.stallMs);
  }

  private go(): void {
    const { backup, held, stream } = this;
    if (this.ended || backup === null) {
      return;
    }
    if (stream.closed) {
      this.finish();
      return;
    }
    if (held !== null) {
      this.held = stream.send(held) ? null : held;
    } else if (this.saidEnd) {
      stream.end();
      this.finish();
      return;
    } else if (backup.done) {
      const { chunks, bytes, hash } = backup.end();
      this.saidEnd = true;
      this.send({ case: "end", value: create(BackupEndSchema, { chunks: BigInt(chunks), bytes: BigInt(bytes), hash }) });
    } else {
      const chunk = backup.next(SLICE_UNITS);
      if (chunk !== undefined) {
        this.send({ case: "chunk", value: chunk });
      }
    }
    this.later();
  }

  /** Sends a part, or holds it until there is room. */
  private send(part: BackupPart["part"]): void {
    const message = toBinary(BackupPartSchema, create(BackupPartSchema, { part }));
    this.held = this.stream.send(message) ? null : message;
  }

  private giveUp(): void {
    this.stream.end(GRPC_STATUS.ABORTED, "The backup was given up: its client took nothing for too long.");
    this.finish();
  }

  private finish(): void {
    if (!this.ended) {
      this.ended = true;
      clearTimeout(this.timer ?? undefined);
      this.backup?.close();
      this.backup = null;
      this.bounds.onEnd();
    }
  }
}
