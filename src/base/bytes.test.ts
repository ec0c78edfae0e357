/** Writers and readers of fields: what is written comes back, writers that share an array never touch each other. By hand, and by random interleavings. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { ByteReader, ByteWriter, MalformedBytes } from "./bytes.js";
import { nextInt, seedPrng } from "./prng.js";

test("every field comes back as it was written", () => {
  const bytes = new ByteWriter()
    .u8(255)
    .u32(0xfedcba98)
    .u64(Number.MAX_SAFE_INTEGER)
    .f64(-0.1)
    .big64(0xfedcba9876543210n)
    .big64(-1n)
    .varint(0)
    .varint(127)
    .varint(128)
    .varint(Number.MAX_SAFE_INTEGER)
    .boolean(true)
    .bytes(Uint8Array.of(1, 2, 3))
    .text("Grüße")
    .finish();
  const reader = new ByteReader(bytes);
  deepEqual([reader.u8(), reader.u32(), reader.u64(), reader.f64()], [255, 0xfedcba98, Number.MAX_SAFE_INTEGER, -0.1]);
  deepEqual([reader.big64(), reader.big64()], [0xfedcba9876543210n, 0xffffffffffffffffn]);
  deepEqual([reader.varint(), reader.varint(), reader.varint(), reader.varint()], [0, 127, 128, Number.MAX_SAFE_INTEGER]);
  deepEqual([reader.boolean(), reader.bytes(), reader.text()], [true, Uint8Array.of(1, 2, 3), "Grüße"]);
  reader.end();
});

test("numbers lie in the bytes as the formats say: the lowest byte first", () => {
  deepEqual([...new ByteWriter().u32(0x01020304).finish()], [4, 3, 2, 1]);
  deepEqual([...new ByteWriter().u64(0x1_0203_0405).finish()], [5, 4, 3, 2, 1, 0, 0, 0]);
  deepEqual([...new ByteWriter().big64(0x0807060504030201n).finish()], [1, 2, 3, 4, 5, 6, 7, 8]);
  deepEqual([...new ByteWriter().f64(1).finish()], [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
});

test("texts of every length, ASCII or not, take the bytes of UTF-8 behind their length", () => {
  for (const length of [0, 1, 126, 127, 128, 300]) {
    for (const end of ["", "ü", "\u{1f600}"]) {
      const text = "x".repeat(length) + end;
      const bytes = new ByteWriter(4).u8(9).text(text).u8(7).finish();
      deepEqual(bytes, new ByteWriter().u8(9).bytes(new TextEncoder().encode(text)).u8(7).finish());
      const reader = new ByteReader(bytes);
      deepEqual([reader.u8(), reader.text(), reader.u8()], [9, text, 7]);
    }
  }
});

test("a reader never reads past its end, nor numbers that are not exact", () => {
  for (const read of [
    (reader: ByteReader) => reader.u32(),
    (reader: ByteReader) => reader.u64(),
    (reader: ByteReader) => reader.f64(),
    (reader: ByteReader) => reader.big64(),
    (reader: ByteReader) => reader.bytes(),
  ]) {
    throws(() => read(new ByteReader(Uint8Array.of(9, 0, 0))), MalformedBytes);
  }
  throws(() => new ByteReader(new Uint8Array(0)).u8(), MalformedBytes);
  throws(() => new ByteReader(new Uint8Array(8).fill(255)).u64(), MalformedBytes);
  throws(() => new ByteReader(new Uint8Array(9).fill(255)).varint(), MalformedBytes);
  equal(new ByteReader(Uint8Array.of(0, 1, 2, 3, 4).subarray(1)).u32(), 0x04030201);
});

test("writers that are open at the same time, grow, and end in any order hold each its own", () => {
  const prng = seedPrng(1);
  const open: { readonly writer: ByteWriter; readonly written: number[] }[] = [];
  const finished: { readonly bytes: Uint8Array; readonly written: number[] }[] = [];
  for (let step = 0; step < 50_000; step++) {
    const choice = nextInt(prng, 0, 10);
    const one = open[nextInt(prng, 0, Math.max(1, open.length))];
    if (open.length < 4 && choice < 2) {
      open.push({ writer: new ByteWriter(nextInt(prng, 1, 300)), written: [] });
    } else if (one !== undefined && choice < 9) {
      const value = nextInt(prng, 0, 256);
      one.writer.u8(value);
      one.written.push(value);
    } else if (one !== undefined) {
      equal(one.writer.length, one.written.length);
      finished.push({ bytes: one.writer.finish(), written: one.written });
      open.splice(open.indexOf(one), 1);
    }
  }
  for (const { bytes, written } of finished) {
    deepEqual([...bytes], written);
  }
});

test("a writer that begins again writes over its own bytes alone, whatever its size", () => {
  for (const capacity of [16, 256, 4096]) {
    const writer = new ByteWriter(capacity);
    const first = writer.u32(1).finish();
    const other = new ByteWriter(16).u32(2).finish();
    const again = writer.rewind().raw(new Uint8Array(2000).fill(7)).finish();
    equal(new ByteReader(other).u32(), 2);
    equal(again.length, 2000);
    equal(
      again.every((byte) => byte === 7),
      true,
    );
    equal(first.length, 4);
    deepEqual([...writer.rewind().u8(1).zeros(1500).u8(2).finish()], [1, ...new Array<number>(1500).fill(0), 2]);
  }
});
