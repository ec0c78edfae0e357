/**
 * Keys and values as bytes: a short label that people and checkers use, and filler that makes it as long as the workload wants. The
 * filler follows from the label and compresses to nothing, so that a byte that came from somewhere else is noticed when it is read.
 */
import { toHex } from "../../base/bytes.js";

const MARK = 0x7e; // "~": between label, length of the filler and filler
const DIGIT_ZERO = 0x30;
/** The longest label. */
const LABEL_MAX = 64;
/** Bytes of damaged data that are shown. */
const SHOWN = 24;

function seedOf(bytes: Uint8Array, from: number, end: number): number {
  let seed = 0x811c9dc5;
  for (let at = from; at < end; at++) {
    seed = Math.imul(seed ^ (bytes[at] as number), 0x01000193);
  }
  return seed | 1;
}

/** The next state of a xorshift generator, never 0. */
function step(state: number): number {
  let next = state ^ (state << 13);
  next ^= next >>> 17;
  return next ^ (next << 5);
}

function asciiBytes(text: string, into: Uint8Array): void {
  for (let at = 0; at < text.length; at++) {
    into[at] = text.charCodeAt(at);
  }
}

/** About `length` bytes that carry `label`, ASCII without "~"; the label alone where it is not shorter than that. */
export function textBytes(label: string, length: number): Uint8Array {
  const filler = length - label.length - String(length).length - 2;
  if (filler <= 0) {
    const bare = new Uint8Array(label.length);
    asciiBytes(label, bare);
    return bare;
  }
  const head = `${label}~${filler}~`;
  const bytes = new Uint8Array(head.length + filler);
  asciiBytes(head, bytes);
  let state = seedOf(bytes, 0, label.length);
  for (let at = head.length; at < bytes.length; at++) {
    state = step(state);
    bytes[at] = state;
  }
  return bytes;
}

/** The label of `bytes[from, end)`; where these are not what `textBytes` made, a text that no label equals. */
export function labelOf(bytes: Uint8Array, from = 0, end: number = bytes.length): string {
  let label = "";
  let at = from;
  for (; at < end && bytes[at] !== MARK; at++) {
    if (at - from >= LABEL_MAX) {
      return damaged(bytes, from, end);
    }
    label += String.fromCharCode(bytes[at] as number);
  }
  return at === end || isWhole(bytes, { from, mark: at, end }) ? label : damaged(bytes, from, end);
}

/** Whether what follows the label is the filler that belongs to it. */
function isWhole(bytes: Uint8Array, text: { readonly from: number; readonly mark: number; readonly end: number }): boolean {
  let length = 0;
  let at = text.mark + 1;
  for (; at < text.end && bytes[at] !== MARK; at++) {
    length = length * 10 + (bytes[at] as number) - DIGIT_ZERO;
  }
  at++;
  if (text.end - at !== length) {
    return false;
  }
  let state = seedOf(bytes, text.from, text.mark);
  for (; at < text.end; at++) {
    state = step(state);
    if (bytes[at] !== (state & 0xff)) {
      return false;
    }
  }
  return true;
}

function damaged(bytes: Uint8Array, from: number, end: number): string {
  return `damaged(${toHex(bytes.subarray(from, Math.min(end, from + SHOWN)))}, ${end - from} bytes)`;
}
