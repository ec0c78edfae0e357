/**
 * HPACK encoding (RFC 7541). Names whose values repeat from call to call go into the dynamic table, so that a usual header block is a few
 * bytes; everything else is sent literally and never pushes them out. Blocks must be sent in the order in which they were encoded.
 */

import type { HeaderFields } from "./hpack-decoder.js";
import { DynamicTable, ENTRY_OVERHEAD, STATIC_TABLE, TABLE_BYTES_DEFAULT } from "./hpack-table.js";
import { huffmanEncode, huffmanLength } from "./huffman.js";

const INDEXED_NAMES: ReadonlySet<string> = new Set([
  ":authority",
  ":path",
  "content-type",
  "te",
  "user-agent",
  "grpc-status",
  "grpc-accept-encoding",
]);
/** Secrets: no one on the way may index them either (RFC 7541 §7.1.3). */
const NEVER_INDEXED_NAMES: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie", "token"]);

const staticByName = new Map<string, number>();
const staticByField = new Map<string, number>();
for (const [i, [name, value]] of STATIC_TABLE.entries()) {
  staticByField.set(`${name}\0${value}`, i + 1);
  if (!staticByName.has(name)) {
    staticByName.set(name, i + 1);
  }
}

const INITIAL_BYTES = 1024;
/** An HPACK integer of at most 32 bits takes at most six bytes. */
const INTEGER_BYTES_MAX = 6;

/** The encoder of one connection's direction. */
export class HpackEncoder {
  readonly table: DynamicTable;
  /** Numbers of the entries in the table by `name\0value`. */
  private readonly numbers = new Map<string, number>();
  /** The smallest table size since the last block, where it changed: the peer must evict as we did (RFC 7541 §4.2). */
  private smallestSince: number | undefined;
  private block = Buffer.allocUnsafe(INITIAL_BYTES);
  private used = 0;

  constructor() {
    this.table = new DynamicTable(TABLE_BYTES_DEFAULT, (entry, number) => {
      const key = `${entry.name}\0${entry.value}`;
      if (this.numbers.get(key) === number) {
        this.numbers.delete(key);
      }
    });
  }

  /** Obeys the peer's SETTINGS_HEADER_TABLE_SIZE; the next block says so. */
  setTableBytesMax(bytes: number): void {
    const limit = Math.min(bytes, TABLE_BYTES_DEFAULT);
    if (limit !== this.table.bytesMax) {
      this.table.resize(limit);
      this.smallestSince = Math.min(this.smallestSince ?? limit, limit);
    }
  }

  /** A block with `fields`, its own copy. Characters above 255 must not occur. */
  encode(fields: HeaderFields): Uint8Array {
    this.used = 0;
    if (this.smallestSince !== undefined) {
      if (this.smallestSince < this.table.bytesMax) {
        this.integer(0x20, 0x1f, this.smallestSince);
      }
      this.integer(0x20, 0x1f, this.table.bytesMax);
      this.smallestSince = undefined;
      this.table.version++; // a block with an announcement is not one to repeat
    }
    for (let i = 0; i < fields.length; i += 2) {
      this.field(fields[i] as string, fields[i + 1] as string);
    }
    return new Uint8Array(this.block.subarray(0, this.used));
  }

  private field(name: string, value: string): void {
    const key = `${name}\0${value}`;
    const fixed = staticByField.get(key);
    const number = fixed === undefined ? this.numbers.get(key) : undefined;
    if (fixed !== undefined) {
      this.integer(0x80, 0x7f, fixed);
    } else if (number !== undefined) {
      this.integer(0x80, 0x7f, STATIC_TABLE.length + this.table.inserted - number);
    } else if (INDEXED_NAMES.has(name)) {
      this.literal(0x40, 0x3f, name, value);
      this.remember(key, name, value);
    } else {
      this.literal(NEVER_INDEXED_NAMES.has(name) ? 0x10 : 0, 0x0f, name, value);
    }
  }

  private remember(key: string, name: string, value: string): void {
    const number = this.table.inserted;
    this.table.insert({ name, value, bytes: name.length + value.length + ENTRY_OVERHEAD });
    if (this.table.inserted > number) {
      this.numbers.set(key, number);
    }
  }

  private literal(pattern: number, mask: number, name: string, value: string): void {
    const index = staticByName.get(name);
    this.integer(pattern, mask, index ?? 0);
    if (index === undefined) {
      this.text(name);
    }
    this.text(value);
  }

  private integer(pattern: number, mask: number, value: number): void {
    this.reserve(INTEGER_BYTES_MAX);
    if (value < mask) {
      this.block[this.used++] = pattern | value;
      return;
    }
    this.block[this.used++] = pattern | mask;
    let rest = value - mask;
    while (rest >= 0x80) {
      this.block[this.used++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.block[this.used++] = rest;
  }

  private text(text: string): void {
    const coded = huffmanLength(text);
    if (coded < text.length) {
      this.integer(0x80, 0x7f, coded);
      this.reserve(coded);
      this.used = huffmanEncode(text, this.block, this.used);
    } else {
      this.integer(0, 0x7f, text.length);
      this.reserve(text.length);
      this.used += this.block.write(text, this.used, "latin1");
    }
  }

  private reserve(count: number): void {
    if (this.used + count > this.block.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.used + count, this.block.length * 2));
      this.block.copy(larger, 0, 0, this.used);
      this.block = larger;
    }
  }
}

/** A block that is sent again and again: encoded anew only after the encoder's table has changed. */
export class RepeatedBlock {
  private readonly fields: HeaderFields;
  private block: Uint8Array | undefined;
  private version = -1;

  constructor(fields: HeaderFields) {
    this.fields = fields;
  }

  /** The block, to be sent before anything else is encoded. */
  encodeBy(encoder: HpackEncoder): Uint8Array {
    const version = encoder.table.version;
    if (this.block !== undefined && this.version === version) {
      return this.block;
    }
    const block = encoder.encode(this.fields);
    // One that inserted an entry must not be repeated: the next is shorter, and indexes it.
    this.block = encoder.table.version === version ? block : undefined;
    this.version = version;
    return block;
  }
}
