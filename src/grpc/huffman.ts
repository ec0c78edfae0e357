/**
 * The Huffman code of HPACK (RFC 7541, appendix B), both ways. The code is canonical, so the lengths below are all of it; the decoder
 * walks a table of (tree node, four bits) and must reject what the RFC calls an error: EOS inside, or padding that is not all ones.
 */
import { assert } from "../base/assert.js";

/** Code length in bits of the symbols 0 to 255, then of EOS (RFC 7541, appendix B). */
const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10,
  12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7,
  7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
  23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
  23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
  24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const SYMBOLS = 257;
const EOS = 256;
const CODE_BITS_MAX = 30;
const NODES = 256;
const NIBBLES = 16;

/** Entry of the decoding table: next node in the low byte, emitted symbol above it, then the two flags. */
const SYMBOL_SHIFT = 8;
const EMITS = 1 << 16;
const FAILS = 1 << 17;

const codes = canonicalCodes();
const { table, padding } = decodingTable();

/** Codes by symbol: in order of length, then of symbol, each the previous plus one, shifted to its length. */
function canonicalCodes(): Uint32Array {
  const made = new Uint32Array(SYMBOLS);
  let next = 0;
  for (let length = 1; length <= CODE_BITS_MAX; length++) {
    next *= 2;
    for (let symbol = 0; symbol < SYMBOLS; symbol++) {
      if (CODE_LENGTHS[symbol] === length) {
        made[symbol] = next++;
      }
    }
  }
  return made;
}

/** The code as a binary tree: `children[2 * node + bit]` is a node (positive), a symbol (-1 - symbol) or 0 while unset. */
function codeTree(): Int32Array {
  const children = new Int32Array(NODES * 2);
  let nodes = 1;
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    let node = 0;
    for (let bit = (CODE_LENGTHS[symbol] as number) - 1; bit > 0; bit--) {
      const slot = node * 2 + (((codes[symbol] as number) >>> bit) & 1);
      if (children[slot] === 0) {
        children[slot] = nodes++;
      }
      node = children[slot] as number;
    }
    children[node * 2 + ((codes[symbol] as number) & 1)] = -1 - symbol;
  }
  assert(nodes === NODES, "the Huffman code has 256 inner nodes");
  return children;
}

/** Where four more bits lead from each node, and which nodes are a valid end: at most seven bits, all ones, below the root. */
function decodingTable(): { readonly table: Uint32Array; readonly padding: Uint8Array } {
  const children = codeTree();
  const steps = new Uint32Array(NODES * NIBBLES);
  for (let start = 0; start < NODES; start++) {
    for (let nibble = 0; nibble < NIBBLES; nibble++) {
      steps[start * NIBBLES + nibble] = stepFrom(children, start, nibble);
    }
  }
  const ends = new Uint8Array(NODES);
  let node = 0;
  for (let bits = 0; bits < 8; bits++) {
    ends[node] = 1;
    node = children[node * 2 + 1] as number;
  }
  return { table: steps, padding: ends };
}

function stepFrom(children: Int32Array, start: number, nibble: number): number {
  let node = start;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[node * 2 + ((nibble >>> bit) & 1)] as number;
    if (child >= 0) {
      node = child;
      continue;
    }
    const symbol = -1 - child;
    if (symbol === EOS) {
      return FAILS;
    }
    // Four bits end at most one symbol, the shortest code having five.
    emitted = EMITS | (symbol << SYMBOL_SHIFT);
    node = 0;
  }
  return emitted | node;
}

const SCRATCH_BYTES = 4096;
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** The text (one character a byte) coded in `bytes[from, end)`, or undefined where it is not valid. */
export function huffmanDecode(bytes: Uint8Array, from: number, end: number): string | undefined {
  // The shortest code has five bits: eight bytes hold at most 12.8 symbols.
  const mostSymbols = Math.ceil(((end - from) * 8) / 5);
  if (mostSymbols > scratch.length) {
    scratch = Buffer.allocUnsafeSlow(mostSymbols * 2);
  }
  let node = 0;
  let length = 0;
  for (let at = from; at < end; at++) {
    const byte = bytes[at] as number;
    const high = table[node * NIBBLES + (byte >>> 4)] as number;
    if (high & EMITS) {
      scratch[length++] = high >>> SYMBOL_SHIFT;
    }
    const low = table[(high & 0xff) * NIBBLES + (byte & 15)] as number;
    if (low & EMITS) {
      scratch[length++] = low >>> SYMBOL_SHIFT;
    }
    if ((high | low) & FAILS) {
      return undefined;
    }
    node = low & 0xff;
  }
  return padding[node] === 1 ? scratch.toString("latin1", 0, length) : undefined;
}

/** Bytes that `text` (characters up to 255) takes when coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    bits += CODE_LENGTHS[text.charCodeAt(i) & 0xff] as number;
  }
  return Math.ceil(bits / 8);
}

/** Writes `text` coded to `target` from `at`, which has room for `huffmanLength(text)` bytes; returns the end. */
export function huffmanEncode(text: string, target: Uint8Array, at: number): number {
  let pending = 0;
  let bits = 0;
  let to = at;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    let left = CODE_LENGTHS[symbol] as number;
    const code = codes[symbol] as number;
    while (left > 0) {
      const take = Math.min(8 - bits, left);
      left -= take;
      pending = (pending << take) | ((code >>> left) & ((1 << take) - 1));
      bits += take;
      if (bits === 8) {
        target[to++] = pending;
        pending = 0;
        bits = 0;
      }
    }
  }
  if (bits > 0) {
    target[to++] = (pending << (8 - bits)) | ((1 << (8 - bits)) - 1);
  }
  return to;
}
