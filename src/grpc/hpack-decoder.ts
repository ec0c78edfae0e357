/**
 * HPACK decoding (RFC 7541). Decodes every block in full, also one whose list is too large or whose stream is gone: the dynamic table must
 * stay what the peer thinks it is. Must never hold or produce more than the list limit says, and must never let an invalid name or value out.
 */

import { DynamicTable, ENTRY_OVERHEAD, STATIC_TABLE, TABLE_BYTES_DEFAULT } from "./hpack-table.js";
import { huffmanDecode } from "./huffman.js";

/** Thrown on a block that cannot be decoded: the connection's state is lost with it (COMPRESSION_ERROR). */
export class HpackError extends Error {
  override readonly name = "HpackError";
}

/** Names and values in turn. A field that HTTP/2 forbids (RFC 9113 §8.2.1) appears with an empty name. */
export type HeaderFields = readonly string[];

const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these three are what the RFC forbids
const FORBIDDEN_IN_VALUE = /[\x00\r\n]/;
/** Our limits are far below it; a number above is an attack or nonsense. */
const INTEGER_MAX = 2 ** 28;
const STATIC_COUNT = STATIC_TABLE.length;

/** The decoder of one connection's direction. */
export class HpackDecoder {
  readonly table = new DynamicTable(TABLE_BYTES_DEFAULT);
  private readonly listBytesMax: number;
  private block: Buffer = Buffer.alloc(0);
  private at = 0;
  private end = 0;
  private fields: string[] = [];
  private listBytes = 0;

  /** `listBytesMax`: sum of name + value + 32 over one block's fields. */
  constructor(listBytesMax: number) {
    this.listBytesMax = listBytesMax;
  }

  /** The fields of the block `bytes[from, end)`, or undefined where they exceed the limit. Throws `HpackError`. */
  decode(bytes: Buffer, from = 0, end: number = bytes.length): HeaderFields | undefined {
    this.block = bytes;
    this.at = from;
    this.end = end;
    this.fields = [];
    this.listBytes = 0;
    let first = true;
    while (this.at < end) {
      const byte = this.block[this.at] as number;
      if (byte >= 0x80) {
        this.indexed(this.integer(0x7f));
      } else if (byte >= 0x40) {
        this.literal(this.integer(0x3f), true);
      } else if (byte >= 0x20) {
        this.resize(this.integer(0x1f), first);
        continue;
      } else {
        this.literal(this.integer(0x0f), false);
      }
      first = false;
    }
    return this.listBytes <= this.listBytesMax ? this.fields : undefined;
  }

  private indexed(index: number): void {
    if (index >= 1 && index <= STATIC_COUNT) {
      const [name, value] = STATIC_TABLE[index - 1] as readonly [string, string];
      this.emit(name, value, name.length + value.length + ENTRY_OVERHEAD);
      return;
    }
    const entry = index === 0 ? undefined : this.table.at(index - STATIC_COUNT - 1);
    if (entry === undefined) {
      throw new HpackError(`index ${index} is in no table`);
    }
    this.emit(entry.name, entry.value, entry.bytes);
  }

  private literal(index: number, insert: boolean): void {
    const rawName = index === 0 ? this.text() : this.nameAt(index);
    const rawValue = this.text();
    const bytes = rawName.length + rawValue.length + ENTRY_OVERHEAD;
    // Checked here once and remembered in the table, so that an indexed field costs nothing to check.
    const valid = (index !== 0 || NAME.test(rawName)) && !FORBIDDEN_IN_VALUE.test(rawValue);
    const name = valid ? rawName : "";
    const value = valid ? rawValue : "";
    if (insert) {
      this.table.insert({ name, value, bytes });
    }
    this.emit(name, value, bytes);
  }

  private nameAt(index: number): string {
    const name = index <= STATIC_COUNT ? STATIC_TABLE[index - 1]?.[0] : this.table.at(index - STATIC_COUNT - 1)?.name;
    if (name === undefined) {
      throw new HpackError(`index ${index} is in no table`);
    }
    return name;
  }

  private resize(bytes: number, first: boolean): void {
    if (!first) {
      throw new HpackError("size update after the first field");
    }
    if (bytes > TABLE_BYTES_DEFAULT) {
      throw new HpackError(`size update to ${bytes}, above ${TABLE_BYTES_DEFAULT}`);
    }
    this.table.resize(bytes);
  }

  private emit(name: string, value: string, bytes: number): void {
    this.listBytes += bytes;
    if (this.listBytes <= this.listBytesMax) {
      this.fields.push(name, value);
    }
  }

  /** An integer with the prefix `mask`, from the byte at `this.at` (RFC 7541 §5.1). */
  private integer(mask: number): number {
    let value = (this.block[this.at++] as number) & mask;
    if (value < mask) {
      return value;
    }
    for (let shift = 0; this.at < this.end && shift <= 28; shift += 7) {
      const byte = this.block[this.at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (value > INTEGER_MAX) {
        break;
      }
      if (byte < 0x80) {
        return value;
      }
    }
    throw new HpackError("integer is cut short or too large");
  }

  private text(): string {
    if (this.at >= this.end) {
      throw new HpackError("text is missing");
    }
    const huffman = (this.block[this.at] as number) >= 0x80;
    const length = this.integer(0x7f);
    const from = this.at;
    this.at = from + length;
    if (this.at > this.end) {
      throw new HpackError("text is cut short");
    }
    if (!huffman) {
      return this.block.toString("latin1", from, this.at);
    }
    const text = huffmanDecode(this.block, from, this.at);
    if (text === undefined) {
      throw new HpackError("invalid Huffman code");
    }
    return text;
  }
}
