/**
 * Remembers the last few header blocks of a connection and what they meant: a client sends the same few bytes call after call. Valid only
 * while the decoder's dynamic table stands still, and only for blocks whose decoding left it so.
 */
import type { HpackDecoder } from "./hpack-decoder.js";
import type { RequestHead } from "./request.js";

/** Blocks kept: the methods that a client calls in turn, some with and without a deadline. */
const BLOCKS_MAX = 8;
/** Longer blocks hold what changes from call to call. */
const BLOCK_BYTES_MAX = 256;

export class RequestCache {
  private readonly decoder: HpackDecoder;
  private version = -1;
  private blocks: Uint8Array[] = [];
  private heads: RequestHead[] = [];
  private next = 0;

  constructor(decoder: HpackDecoder) {
    this.decoder = decoder;
  }

  /** What the block `bytes[from, end)` meant before, or undefined. */
  find(bytes: Uint8Array, from: number, end: number): RequestHead | undefined {
    if (this.version !== this.decoder.table.version) {
      return undefined;
    }
    const length = end - from;
    for (let i = 0; i < this.blocks.length; i++) {
      const block = this.blocks[i] as Uint8Array;
      let at = block.length === length ? 0 : length + 1;
      while (at < length && block[at] === bytes[from + at]) {
        at++;
      }
      if (at === length) {
        return this.heads[i];
      }
    }
    return undefined;
  }

  /** Keeps a block just decoded; `versionBefore` is the table's version before that. */
  remember(block: Uint8Array, head: RequestHead, versionBefore: number): void {
    const version = this.decoder.table.version;
    if (version !== versionBefore || block.length > BLOCK_BYTES_MAX) {
      return;
    }
    if (this.version !== version) {
      this.version = version;
      this.blocks = [];
      this.heads = [];
      this.next = 0;
    }
    this.blocks[this.next] = new Uint8Array(block);
    this.heads[this.next] = head;
    this.next = (this.next + 1) % BLOCKS_MAX;
  }
}
