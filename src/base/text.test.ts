/** Texts and bytes: UTF-8 by the short way and the runtime's own, hashes as text and as words. Against the runtime's encoder and by random values. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { chainHash, hash64, hashBytes, hashOfWords, highWord, lowWord } from "./hash64.js";
import { nextU32, seedPrng } from "./prng.js";
import { utf8Decode, utf8Encode } from "./utf8.js";

test("texts of every length and kind become the bytes that the runtime makes of them, and texts again", () => {
  for (const unit of ["a", "\u0000", "\u007f", "\u0080", "ü", "€", "\u{1f600}"]) {
    for (const length of [0, 1, 31, 63, 64, 65, 200]) {
      const text = `${"x".repeat(length)}${unit}`;
      deepEqual(utf8Encode(text), new TextEncoder().encode(text));
      equal(utf8Decode(utf8Encode(text)), text);
    }
  }
  deepEqual(utf8Encode("\ud800"), Uint8Array.of(0xef, 0xbf, 0xbd));
  equal(utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), "\ufeffa");
});

test("bytes that are not UTF-8 are no text, however few", () => {
  for (const bytes of [[0x80], [0x61, 0xff], [0xc3], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]]) {
    equal(utf8Decode(Uint8Array.from(bytes)), undefined);
  }
});

test("a hash is its two words, in hexadecimal", () => {
  equal(hashOfWords(0x00000001, 0xfedcba98), "00000001fedcba98");
  equal(hashOfWords(-1, 0), "ffffffff00000000");
  const prng = seedPrng(2);
  for (let i = 0; i < 1000; i++) {
    const [high, low] = [nextU32(prng), nextU32(prng)];
    const hash = hashOfWords(high, low);
    deepEqual([highWord(hash) >>> 0, lowWord(hash) >>> 0], [high, low]);
    equal(hash64(hash), [high, low].map((word) => word.toString(16).padStart(8, "0")).join(""));
  }
  throws(() => hash64("0000000000000G00"));
});

test("hashes stay what they are: they are in files", () => {
  equal(hashBytes(utf8Encode("synod")), REFERENCE.text);
  equal(chainHash(hashBytes(utf8Encode("a")), hashBytes(utf8Encode("b"))), REFERENCE.chain);
});

/** Of the first version of this program. */
const REFERENCE = { text: "91b164451c9a83b7", chain: "761eee90b37fdf0b" };
