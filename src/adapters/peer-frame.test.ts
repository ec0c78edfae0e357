/** PeerFrame by hand against the generated code, and against bytes that are no frame. */
import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { MalformedBytes } from "../base/bytes.js";
import { decodePeerFrame, encodePeerFrame } from "./peer-frame.js";

test("a payload of any length comes back, as a view", () => {
  for (const length of [1, 127, 128, 16_383, 16_384, 2_097_152]) {
    const payload = new Uint8Array(length).fill(7);
    const frame = encodePeerFrame(payload);
    deepEqual(decodePeerFrame(frame), payload);
  }
  deepEqual(encodePeerFrame(Uint8Array.of(9)), Uint8Array.of(0x0a, 1, 9));
});

test("anything else is refused", () => {
  for (const bytes of [[], [0x0a], [0x0a, 2, 1], [0x0a, 1, 1, 1], [0x12, 1, 1], [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]) {
    throws(() => decodePeerFrame(Uint8Array.from(bytes)), MalformedBytes, bytes.join(" "));
  }
});
