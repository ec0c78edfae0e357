/** Dialling, redialling and the difference between gone and unreachable, with connections played by the test. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import type { Channel, ChannelEvents, ClientStreamEvents } from "../grpc/channel.js";
import { address } from "../paxos/ids.js";
import { PeerLink, REDIAL_MS_LAST, SILENCE_LOOKS, SILENCE_MS_MIN, STRAY_END_MS, SUSPECTS_SILENT, splitAddress } from "./peer-link.js";
import { HandClock } from "./testing/hand-clock.js";

function harness(suspectMs = 600) {
  const clock = new HandClock();
  const seen: string[] = [];
  const dials: ChannelEvents[] = [];
  let stream: ClientStreamEvents | null = null;
  let full = false;
  const link = new PeerLink({
    peer: address("[::1]:9001"),
    clock,
    suspectMs,
    connect: ({ host, port }, events): Channel => {
      seen.push(`dial ${host} ${port}`);
      dials.push(events);
      return {
        usable: true,
        unary: () => Promise.reject(new Error("not used")),
        open: (_path, events) => {
          stream = events;
          const send = (message: Uint8Array): boolean => {
            if (!full) {
              seen.push(`send ${message[0]}`);
            }
            return !full;
          };
          return { closed: false, queuedBytes: 0, send, halfClose: () => {}, cancel: () => {} };
        },
        close: () => seen.push("close"),
        abort: () => seen.push("abort"),
      };
    },
    onConnected: () => seen.push("connected"),
    onGone: () => seen.push("gone"),
    onRefused: (reason) => seen.push(`refused ${reason}`),
  });
  link.dial();
  return {
    clock,
    seen,
    link,
    last: () => present(dials.at(-1), "the link has dialled"),
    stream: () => present(stream, "a stream is open"),
    fill: () => {
      full = true;
    },
  };
}

test("a peer that never answered is dialled again at growing intervals, and is not called gone", () => {
  const { clock, seen, last } = harness();
  const waits: (number | undefined)[] = [];
  for (let i = 0; i < 7; i++) {
    last().onRefused();
    waits.push(clock.next());
  }
  deepEqual(waits, [20, 40, 80, 160, 320, 500, 500]);
  deepEqual(new Set(seen), new Set(["dial ::1 9001"]));
});

test("nothing leaves before a Hello, and a Hello is needed again on the next stream", () => {
  const { clock, seen, link, last } = harness();
  link.send(Uint8Array.of(1), false);
  last().onConnected();
  link.send(Uint8Array.of(2), false);
  link.send(Uint8Array.of(3), true);
  link.send(Uint8Array.of(4), false);
  last().onClosed("reset");
  link.send(Uint8Array.of(5), false);
  equal(clock.next(), 0);
  last().onConnected();
  link.send(Uint8Array.of(6), false);
  link.send(Uint8Array.of(7), true);
  deepEqual(seen, ["dial ::1 9001", "connected", "send 3", "send 4", "dial ::1 9001", "connected", "send 7"]);
});

test("a connection that broke is dialled at once; when that is refused the peer is gone, once", () => {
  const { clock, seen, last } = harness();
  last().onConnected();
  last().onClosed("reset");
  equal(clock.next(), 0);
  last().onRefused();
  clock.next();
  last().onRefused();
  deepEqual(
    seen.filter((line) => line === "gone"),
    ["gone"],
  );
});

test("the end of the stream that a lost connection brings is not taken for a refusal", () => {
  const { clock, seen, last, stream } = harness();
  last().onConnected();
  stream().onEnd({ status: 14, statusMessage: "the connection was closed", trailers: [] });
  last().onClosed("the connection was closed");
  equal(clock.next(), 0);
  deepEqual(seen, ["dial ::1 9001", "connected", "dial ::1 9001"]);
});

test("a peer that is only unreachable is not gone", () => {
  const { clock, seen, last } = harness();
  last().onConnected();
  last().onClosed("no route to host");
  clock.next();
  last().onClosed("no answer within 2000 ms");
  clock.next();
  equal(seen.includes("gone"), false);
});

test("a peer that was heard from is dialled without waiting", () => {
  const { seen, link, last } = harness();
  last().onRefused();
  link.greeted(false);
  link.greeted(true);
  equal(seen.filter((line) => line.startsWith("dial")).length, 2);
});

test("a stream whose peer is silent for too long is replaced, at once and as often as it takes", () => {
  const { clock, seen, last, link } = harness();
  last().onConnected();
  const lookMs = SILENCE_MS_MIN / SILENCE_LOOKS;
  for (let looks = 0; looks < 3 * SILENCE_LOOKS; looks++) {
    equal(clock.next(), lookMs);
    link.heard();
  }
  for (let looks = 0; looks < SILENCE_LOOKS; looks++) {
    equal(clock.next(), lookMs);
  }
  equal(seen.includes("abort"), false);
  equal(clock.next(), lookMs);
  deepEqual(seen.slice(2), ["abort"]);
  equal(clock.next(), 0);
  deepEqual(seen.slice(2), ["abort", "dial ::1 9001"]);
  last().onConnected(); // the new stream gets as long
  for (let looks = 0; looks < SILENCE_LOOKS; looks++) {
    clock.next();
  }
  equal(seen.filter((line) => line === "abort").length, 1);
  clock.next();
  equal(seen.filter((line) => line === "abort").length, 2);
});

test("where servers ping seldom, silence is longer", () => {
  const suspectMs = 5000;
  const { clock, last } = harness(suspectMs);
  last().onConnected();
  equal(clock.next(), (SUSPECTS_SILENT * suspectMs) / SILENCE_LOOKS);
});

test("a new stream of a peer that was silent replaces ours of before; one of a peer that spoke does not", () => {
  const { clock, seen, last, link } = harness();
  last().onConnected();
  clock.next();
  link.greeted(true); // at a start both sides dial
  clock.next();
  link.greeted(false); // a Hello again on the stream it had: that one is alive
  link.heard();
  link.greeted(true);
  equal(seen.includes("abort"), false);
  clock.next();
  clock.next();
  link.greeted(true);
  equal(seen.at(-1), "abort");
  equal(clock.next(), 0);
  equal(seen.at(-1), "dial ::1 9001");
});

test("a stream that ends as if the connection were lost, while that lives on, does not stay ended", () => {
  const { clock, seen, link, last, stream } = harness();
  last().onConnected();
  link.send(Uint8Array.of(1), true);
  stream().onEnd({ status: 14, statusMessage: "the server ended the stream with HTTP/2 error 7", trailers: [] });
  equal(link.connected, false);
  equal(clock.next(), STRAY_END_MS);
  deepEqual(seen.slice(3), ["close"]);
  equal(clock.next(), REDIAL_MS_LAST);
  last().onConnected();
  link.send(Uint8Array.of(2), true);
  deepEqual(seen.slice(4), ["dial ::1 9001", "connected", "send 2"]);
});

test("a peer that ends our stream says why, and is left alone for a while", () => {
  const { clock, seen, last, stream } = harness();
  last().onConnected();
  stream().onEnd({ status: 9, statusMessage: "Hello of protocol version 2", trailers: [] });
  deepEqual(seen.slice(2), ["refused Hello of protocol version 2", "close"]);
  equal(clock.next(), REDIAL_MS_LAST);
});

test("messages for a full queue are dropped and counted; a stopped link does nothing more", () => {
  const { clock, seen, link, last, fill } = harness();
  last().onConnected();
  link.send(Uint8Array.of(1), true);
  fill();
  link.send(Uint8Array.of(2), false);
  equal(link.dropped, 1);
  link.stop();
  last().onClosed("closed");
  equal(clock.next(), undefined);
  deepEqual(seen, ["dial ::1 9001", "connected", "send 1", "close"]);
});

test("addresses are split at their last colon", () => {
  deepEqual(splitAddress(address("127.0.0.1:9000")), { host: "127.0.0.1", port: 9000 });
  deepEqual(splitAddress(address("[::1]:9000")), { host: "::1", port: 9000 });
});
