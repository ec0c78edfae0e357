/** Texts with filler: read back as written, and any byte that is wrong, missing or too many is noticed. */
import { equal, match, notEqual } from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "../../base/bytes.js";
import { utf8Encode } from "../../base/utf8.js";
import { labelOf, textBytes } from "./texts.js";

test("a label is read back from bytes of every length, which are about as long as asked for", () => {
  for (const length of [0, 4, 5, 8, 9, 12, 40, 300, 3000, 12_345]) {
    const bytes = textBytes("c3.17", length);
    equal(labelOf(bytes), "c3.17");
    equal(Math.abs(bytes.length - Math.max(5, length)) <= 5, true, `${bytes.length} bytes for ${length}`);
  }
});

test("it is read from the middle of other bytes", () => {
  const text = textBytes("c1.2", 100);
  const all = concatBytes([utf8Encode("key~"), text, utf8Encode("rest")]);
  equal(labelOf(all, 4, 4 + text.length), "c1.2");
});

test("every wrong byte gives another label", () => {
  const bytes = textBytes("c3.17", 60);
  for (let at = 0; at < bytes.length; at++) {
    const wrong = bytes.slice();
    wrong[at] = (wrong[at] as number) ^ 1;
    notEqual(labelOf(wrong), "c3.17", `byte ${at}`);
  }
});

test("bytes cut off or appended are noticed", () => {
  const bytes = textBytes("c3.17", 60);
  match(labelOf(bytes.subarray(0, 59)), /^damaged\(.*59 bytes/);
  match(labelOf(concatBytes([bytes, utf8Encode("x")])), /^damaged/);
  match(labelOf(new Uint8Array(5000)), /^damaged\(.*5000 bytes/);
});

test("equal labels have equal bytes, others do not share filler", () => {
  equal(String(textBytes("a1", 50)), String(textBytes("a1", 50)));
  notEqual(String(textBytes("a1", 50).subarray(6)), String(textBytes("a2", 50).subarray(6)));
});
