/**
 * The payload of one slot: commands in groups, each group consecutive requests of one session. Opaque to the protocol.
 * Layout: version byte; then groups of varints session, first seq, firstUnacked, count, and `count` commands, each behind its
 * varint length. Reading it makes no object per command. Caps on size and count are the caller's.
 */
import { assert } from "../base/assert.js";
import { MalformedBytes } from "../base/bytes.js";
import type { SessionId } from "./model.js";

/** First byte of every payload; another value is another format. */
export const BATCH_VERSION = 1;
/** The most bytes a varint of a safe integer takes. */
const VARINT_BYTES_MAX = 8;
const GROUP_BYTES_MAX = 4 * VARINT_BYTES_MAX;
/** More bytes than a command and its length: lengths stay below 2^28. */
const LENGTH_BYTES_MAX = 4;
const COMMAND_BYTES_MAX = 0x0fff_ffff;

type Group = { readonly session: SessionId; readonly firstSeq: number; firstUnacked: number; count: number };

/** Collects commands in the order in which they will be applied; `finish` makes the payload and begins anew. */
export class BatchBuilder {
  private groups: Group[] = [];
  private commands: Uint8Array[] = [];
  private bytes = 1;

  /** The most bytes that `finish` will return; exceeds them by less than 40 a group and 4 a command. */
  get byteLength(): number {
    return this.bytes;
  }

  /** Commands so far. */
  get count(): number {
    return this.commands.length;
  }

  /**
   * Appends one request. `command` is from encodeCommand and is not copied before `finish`. Every request of the session below
   * `firstUnacked` has been answered and will not be asked again. Consecutive requests of one session share a group.
   */
  add(session: SessionId, seq: number, firstUnacked: number, command: Uint8Array): void {
    assert(
      Number.isSafeInteger(seq) && seq >= 0 && Number.isSafeInteger(firstUnacked) && firstUnacked >= 0,
      "sequence numbers are safe integers",
    );
    assert(command.length > 0 && command.length <= COMMAND_BYTES_MAX, "a command has 1 to 2^28 - 1 bytes");
    const last = this.groups[this.groups.length - 1];
    if (last !== undefined && last.session === session && last.firstSeq + last.count === seq) {
      last.count++;
      last.firstUnacked = Math.max(last.firstUnacked, Math.min(firstUnacked, last.firstSeq));
    } else {
      this.groups.push({ session, firstSeq: seq, firstUnacked, count: 1 });
      this.bytes += GROUP_BYTES_MAX;
    }
    this.commands.push(command);
    this.bytes += command.length + LENGTH_BYTES_MAX;
  }

  /** The payload of what was added, in a buffer of its own; the builder is empty afterwards. */
  finish(): Uint8Array {
    const payload = new Uint8Array(this.bytes);
    payload[0] = BATCH_VERSION;
    let at = 1;
    let next = 0;
    for (const group of this.groups) {
      at = putVarint(payload, at, group.session);
      at = putVarint(payload, at, group.firstSeq);
      at = putVarint(payload, at, group.firstUnacked);
      at = putVarint(payload, at, group.count);
      for (const end = next + group.count; next < end; next++) {
        const command = this.commands[next] as Uint8Array;
        at = putVarint(payload, at, command.length);
        payload.set(command, at);
        at += command.length;
      }
    }
    this.groups = [];
    this.commands = [];
    this.bytes = 1;
    return payload.subarray(0, at);
  }
}

function putVarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = rest < 0x1_0000_0000 ? rest >>> 7 : Math.floor(rest / 0x80);
  }
  bytes[at++] = rest;
  return at;
}

/**
 * Walks a payload: `nextGroup`, then `nextCommand` for each of its commands. The current command is
 * `payload[commandFrom, commandEnd)`. Throws MalformedBytes; a decided batch that does so is corrupt.
 */
export class BatchCursor {
  readonly payload: Uint8Array;
  session = 0;
  /** Of the current command. */
  seq = 0;
  firstUnacked = 0;
  /** Commands of the group that were not yet visited. */
  left = 0;
  commandFrom = 0;
  commandEnd = 0;
  private at = 1;

  constructor(payload: Uint8Array) {
    this.payload = payload;
    if (payload.length === 0 || payload[0] !== BATCH_VERSION) {
      throw new MalformedBytes(`batch of version ${payload[0]}, this program reads ${BATCH_VERSION}`);
    }
  }

  /** Moves to the next group; false at the end of the payload. */
  nextGroup(): boolean {
    assert(this.left === 0, "the commands of a group are visited before the next group");
    if (this.at === this.payload.length) {
      return false;
    }
    this.session = this.varint();
    this.seq = this.varint() - 1;
    this.firstUnacked = this.varint();
    this.left = this.varint();
    if (this.left === 0 || !Number.isSafeInteger(this.seq + 1 + this.left)) {
      throw new MalformedBytes(`group of ${this.left} commands from ${this.seq + 1} on`);
    }
    return true;
  }

  /** Moves to the next command of the group; false at its end. */
  nextCommand(): boolean {
    if (this.left === 0) {
      return false;
    }
    this.left--;
    this.seq++;
    const length = this.varint();
    if (length === 0 || length > this.payload.length - this.at) {
      throw new MalformedBytes(`command of ${length} bytes at ${this.at} of ${this.payload.length}`);
    }
    this.commandFrom = this.at;
    this.at += length;
    this.commandEnd = this.at;
    return true;
  }

  private varint(): number {
    const { payload } = this;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX && this.at < payload.length; i++) {
      const byte = payload[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 && Number.isSafeInteger(value)) {
        return value;
      }
      scale *= 0x80;
    }
    throw new MalformedBytes(`varint cut short or above 2^53 before byte ${this.at}`);
  }
}
