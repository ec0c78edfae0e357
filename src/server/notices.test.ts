/** What is kept for `status`, and when a line says that the server is blocked. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Notices, WARNINGS_MAX } from "./notices.js";

test("a reason to be blocked that lasts is logged once, and its end; one that passes is not", () => {
  const lines: string[] = [];
  let blocked: string | null = null;
  const log = { log: (level: string, code: string, text: string) => lines.push(`${level} ${code} ${text}`) };
  const notices = new Notices({ log, blocked: () => blocked, risk: () => null });
  notices.tick(0);
  blocked = "waiting for a.";
  notices.tick(100_000);
  deepEqual(lines, []);
  notices.tick(600_000);
  deepEqual(lines, []);
  notices.tick(1_200_000);
  notices.tick(1_800_000);
  blocked = null;
  notices.tick(2_400_000);
  blocked = "for a moment.";
  notices.tick(3_000_000);
  blocked = null;
  notices.tick(3_600_000);
  deepEqual(lines, ["warn blocked waiting for a.", "info unblocked A quorum answers: requests are served."]);
});

test("one reason after another is told where it lasts, and now and then where none does", () => {
  const lines: string[] = [];
  let blocked: string | null = null;
  const log = { log: (_level: string, _code: string, text: string) => lines.push(text) };
  const notices = new Notices({ log, blocked: () => blocked, risk: () => null });
  let now = 0;
  const look = (sentence: string | null): void => {
    blocked = sentence;
    notices.tick(now);
    now += 600_000;
  };
  for (const sentence of ["joins.", "joins.", "0 of 1 voters answer.", null]) {
    look(sentence);
  }
  deepEqual(lines.splice(0), ["joins.", "A quorum answers: requests are served."]);
  for (const sentence of ["a.", "b.", "c.", "d.", "e.", "f."]) {
    look(sentence);
  }
  deepEqual(lines, ["e."]);
});

test("a risk that lasts is logged once, and again when it is back; that it is over is no news", () => {
  const lines: string[] = [];
  let risk: string | null = "One voter is left.";
  const log = { log: (level: string, code: string, text: string) => lines.push(`${level} ${code} ${text}`) };
  const notices = new Notices({ log, blocked: () => null, risk: () => risk });
  for (const now of [0, 600_000, 1_200_000]) {
    notices.tick(now);
  }
  deepEqual(lines, ["warn risk One voter is left."]);
  risk = null;
  notices.tick(1_800_000);
  risk = "One voter is left.";
  notices.tick(2_400_000);
  notices.tick(3_000_000);
  deepEqual(lines, ["warn risk One voter is left.", "warn risk One voter is left."]);
});

test("damage is kept, once each and no more than the limit; what may pass is not", () => {
  const notices = new Notices({ log: { log: () => {} }, blocked: () => null, risk: () => null });
  notices.add({ code: "founded", text: "fine" });
  notices.add({ code: "peer", text: "list differs" });
  deepEqual(notices.warnings, []);
  notices.add({ code: "chain-differs", text: "log differs" });
  notices.add({ code: "chain-differs", text: "log differs" });
  deepEqual(notices.warnings, ["log differs"]);
  for (let i = 0; i < WARNINGS_MAX; i++) {
    notices.add({ code: "state-differs", text: `w${i}` });
  }
  equal(notices.warnings.length, WARNINGS_MAX);
  equal(notices.warnings[0], "w0");
});

test("a peer that refuses is told once a minute, and at once when its reason changes", () => {
  const lines: string[] = [];
  const notices = new Notices({ log: { log: (_level, _code, text) => lines.push(text) }, blocked: () => null, risk: () => null });
  for (const now of [0, 500_000, 59_999_999]) {
    notices.peerRefused("a:1", "no such method", now);
  }
  notices.peerRefused("b:1", "no such method", 1);
  notices.peerRefused("a:1", "another version", 60_000_000);
  notices.peerRefused("b:1", "no such method", 60_000_001);
  deepEqual(lines, [
    "The stream with a:1 ended: no such method",
    "The stream with b:1 ended: no such method",
    "The stream with a:1 ended: another version",
    "The stream with b:1 ended: no such method",
  ]);
});
