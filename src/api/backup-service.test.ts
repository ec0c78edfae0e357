/**
 * The stream of a backup against a client made by hand: the parts in their order, no more of them than the client takes, one stream at a
 * time, and the state's memory given back however it ends.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ZERO_HASH } from "../base/hash64.js";
import { BackupPartSchema, BackupRequestSchema } from "../gen/admin_pb.js";
import type { CancelReason, ServerStream } from "../grpc/service.js";
import { GRPC_STATUS } from "../grpc/status.js";
import { revision } from "../kv/model.js";
import { genesisConfiguration } from "../paxos/configuration.js";
import { address, clusterId, diskId, slot } from "../paxos/ids.js";
import type { ReadWaiter } from "../server/reads.js";
import { StoreError } from "../server/store-error.js";
import { type BackupServer, backupHandler } from "./backup-service.js";

const STALL_MS = 150;
const CONFIGURATION = genesisConfiguration([{ address: address("a:1"), diskId: diskId("1".padStart(32, "0")) }]);

/** A server with a state of `chunks` chunks, each of which takes two slices. */
class FakeServer implements BackupServer {
  readonly reads: ReadWaiter[] = [];
  opened = 0;
  closed = 0;
  handedOut = 0;
  private readonly chunks: number;

  constructor(chunks: number) {
    this.chunks = chunks;
  }

  nowMicros(): number {
    return 0;
  }

  read(waiter: ReadWaiter): void {
    this.reads.push(waiter);
  }

  openBackup(): ReturnType<BackupServer["openBackup"]> {
    this.opened++;
    let turns = 0;
    const fake = this;
    return {
      base: { index: slot(7), chain: ZERO_HASH, stateHash: ZERO_HASH, configuration: CONFIGURATION },
      revision: revision(9),
      clusterId: clusterId(5n),
      lineage: { number: 2, random: 3n },
      get done() {
        return turns === 2 * fake.chunks;
      },
      next: () => {
        turns++;
        if (turns % 2 === 1) {
          return undefined;
        }
        fake.handedOut++;
        return Uint8Array.of(turns / 2);
      },
      end: () => ({ chunks: fake.chunks, bytes: fake.chunks, hash: ZERO_HASH }),
      close: () => {
        fake.closed++;
      },
    };
  }
}

/** A client that takes `room` messages until it is given more room. */
class FakeStream implements ServerStream {
  readonly metadata = [];
  readonly remote = "client:1";
  readonly parts: string[] = [];
  status: number | null = null;
  text = "";
  private room: number;
  private drain: () => void = () => {};
  private cancelled: (reason: CancelReason) => void = () => {};

  private readonly request: Uint8Array;

  constructor(room = Number.POSITIVE_INFINITY, request: Uint8Array = toBinary(BackupRequestSchema, create(BackupRequestSchema))) {
    this.room = room;
    this.request = request;
  }

  get closed(): boolean {
    return this.status !== null;
  }

  get writable(): boolean {
    return this.room > 0;
  }

  deadlineMs(): undefined {
    return undefined;
  }

  sendHeaders(): void {}

  send(message: Uint8Array): boolean {
    if (this.room === 0) {
      return false;
    }
    this.room--;
    const { part } = fromBinary(BackupPartSchema, message);
    this.parts.push(part.case === "chunk" ? `chunk ${part.value[0]}` : `${part.case}`);
    return true;
  }

  /** The request comes at once. */
  onMessage(callback: (message: Uint8Array) => void): void {
    callback(this.request);
  }

  onHalfClose(): void {}
  pause(): void {}
  resume(): void {}

  onCancel(callback: (reason: CancelReason) => void): void {
    this.cancelled = callback;
  }

  onDrain(callback: () => void): void {
    this.drain = callback;
  }

  end(status: number = GRPC_STATUS.OK, text = ""): void {
    assert.equal(this.status, null, "a call ends once");
    this.status = status;
    this.text = text;
  }

  take(messages: number): void {
    this.room += messages;
    this.drain();
  }

  cancel(): void {
    this.status = GRPC_STATUS.CANCELLED;
    this.cancelled("cancelled");
  }
}

async function ended(stream: FakeStream): Promise<void> {
  for (let i = 0; stream.status === null && i < 200; i++) {
    await delay(5);
  }
}

test("a head, the chunks in order, an end; nothing is opened before the read is answered", async () => {
  const server = new FakeServer(3);
  const stream = new FakeStream();
  backupHandler(server, 1000, STALL_MS)(stream);
  await delay(20);
  assert.deepEqual([server.opened, stream.parts], [0, []]);
  assert.equal(server.reads[0]?.deadline, 1_000_000);
  server.reads[0]?.answer();
  await ended(stream);
  assert.deepEqual(stream.parts, ["head", "chunk 1", "chunk 2", "chunk 3", "end"]);
  assert.deepEqual([stream.status, server.closed], [GRPC_STATUS.OK, 1]);
});

test("a client that takes no more is waited for with one part in hand, and after a while given up", async () => {
  const server = new FakeServer(5);
  const stream = new FakeStream(2);
  backupHandler(server, 1000, STALL_MS)(stream);
  server.reads[0]?.answer();
  await delay(STALL_MS / 2);
  assert.deepEqual([stream.parts, server.handedOut, stream.status], [["head", "chunk 1"], 2, null]);
  stream.take(3);
  await delay(STALL_MS / 2);
  assert.deepEqual([stream.parts.at(-1), server.handedOut, stream.status], ["chunk 4", 5, null], "its patience begins anew");
  await ended(stream);
  assert.deepEqual([stream.status, server.closed], [GRPC_STATUS.ABORTED, 1]);
  assert.match(stream.text, /took nothing for too long/);
});

test("the end waits for room as well, and is said once", async () => {
  const server = new FakeServer(1);
  const stream = new FakeStream(2);
  backupHandler(server, 1000, STALL_MS)(stream);
  server.reads[0]?.answer();
  await delay(STALL_MS / 2);
  assert.deepEqual([stream.parts, stream.status], [["head", "chunk 1"], null]);
  stream.take(1);
  await ended(stream);
  assert.deepEqual([stream.parts, stream.status], [["head", "chunk 1", "end"], GRPC_STATUS.OK]);
});

test("one at a time; a client that goes away, or a read that fails, makes room for the next", async () => {
  const server = new FakeServer(100);
  const handler = backupHandler(server, 1000, STALL_MS);
  const first = new FakeStream();
  handler(first);
  server.reads[0]?.answer();
  const second = new FakeStream();
  handler(second);
  assert.equal(second.status, GRPC_STATUS.RESOURCE_EXHAUSTED);
  first.cancel();
  assert.equal(server.closed, 1);
  const third = new FakeStream();
  handler(third);
  server.reads[1]?.fail(new StoreError("unavailable", "not-applied", "No quorum."));
  assert.deepEqual([third.status, third.text], [GRPC_STATUS.UNAVAILABLE, "No quorum."]);
  const fourth = new FakeStream();
  handler(fourth);
  fourth.cancel();
  assert.equal(server.reads[2]?.isGone?.(), true);
  server.reads[2]?.answer();
  assert.equal(server.opened, 1, "nothing is opened for a client that is gone");
});

test("a client says how long it waits; what is no request is refused", () => {
  const server = new FakeServer(1);
  backupHandler(server, 1000, STALL_MS)(new FakeStream(1, toBinary(BackupRequestSchema, create(BackupRequestSchema, { waitMs: 250n }))));
  assert.equal(server.reads[0]?.deadline, 250_000);
  const stream = new FakeStream(1, Uint8Array.of(0xff));
  backupHandler(server, 1000, STALL_MS)(stream);
  assert.deepEqual([stream.status, server.reads.length], [GRPC_STATUS.INVALID_ARGUMENT, 1]);
});
