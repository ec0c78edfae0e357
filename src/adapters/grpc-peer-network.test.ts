/** What the network makes of the streams of its peers, with connections and streams played by the test: whom it hears, whom it greets, whom it refuses. */
import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import type { ChannelEvents } from "../grpc/channel.js";
import { EMPTY_METADATA } from "../grpc/metadata.js";
import type { ServerStream } from "../grpc/service.js";
import { address, clusterId, diskId, replicaId, slot } from "../paxos/ids.js";
import { type Header, type Message, PEER_VERSION } from "../paxos/message.js";
import { encodeEnvelope } from "../paxos/message-codec.js";
import { GrpcPeerNetwork } from "./grpc-peer-network.js";
import { encodePeerFrame } from "./peer-frame.js";
import { DEAF_LOOKS, SILENCE_LOOKS } from "./peer-link.js";
import { HandClock } from "./testing/hand-clock.js";

const PEER = address("127.0.0.1:9001");
const HEADER: Header = { clusterId: clusterId(1n), lineage: { number: 1, random: 2n }, from: replicaId(2), epoch: 0 };
const HELLO: Message = {
  kind: "hello",
  peerVersion: PEER_VERSION,
  diskId: diskId("2".repeat(32)),
  boot: 1,
  address: PEER,
  clientAddress: "127.0.0.1:8001",
  list: [PEER],
  decided: slot(0),
  highestRound: 0,
};
const PING: Message = { kind: "ping", seq: 1, coordinator: null, preVote: false, decided: slot(0), checkpoint: null, hears: [] };

async function harness() {
  const clock = new HandClock();
  const seen: string[] = [];
  const dials: ChannelEvents[] = [];
  const network = new GrpcPeerNetwork({
    clock,
    suspectMs: 600,
    connect: (_, events) => {
      seen.push("dial");
      dials.push(events);
      return {
        usable: true,
        unary: () => Promise.reject(new Error("not used")),
        open: () => ({ closed: false, queuedBytes: 0, send: () => true, halfClose: () => {}, cancel: () => {} }),
        close: () => seen.push("close"),
        abort: () => seen.push("abort"),
      };
    },
  });
  await network.start([PEER], {
    onConnected: () => {},
    onGone: () => {},
    onMessage: (from, _, message) => seen.push(`${message.kind} of ${from}`),
    onRefused: (from) => seen.push(`refused ${from}`),
  });
  present(dials[0], "the network dials").onConnected();
  return { clock, seen, network, stream: () => streamOf(network, seen) };
}

/** A new stream that a peer has opened; returns how it speaks. */
function streamOf(network: GrpcPeerNetwork, seen: string[]): (message: Message) => void {
  let receive: (frame: Uint8Array) => void = () => {};
  const nothing = (): void => {};
  const stream: ServerStream = {
    metadata: EMPTY_METADATA,
    remote: "127.0.0.1:40000",
    closed: false,
    writable: true,
    deadlineMs: () => undefined,
    sendHeaders: nothing,
    send: () => true,
    onMessage: (callback) => {
      receive = callback;
    },
    onHalfClose: nothing,
    onCancel: nothing,
    onDrain: nothing,
    pause: nothing,
    resume: nothing,
    end: (_, reason) => seen.push(`end ${reason}`),
  };
  network.onExchange(stream);
  return (message) => receive(encodePeerFrame(encodeEnvelope(HEADER, message)));
}

test("a peer that speaks keeps our stream, one that falls silent loses it", async () => {
  const { clock, seen, stream } = await harness();
  const say = stream();
  say(HELLO);
  for (let looks = 0; looks < 3 * SILENCE_LOOKS; looks++) {
    clock.next();
    say(PING);
  }
  equal(seen.includes("abort"), false);
  for (let looks = 0; looks <= SILENCE_LOOKS; looks++) {
    clock.next();
  }
  equal(seen.at(-1), "abort");
});

test("the first Hello of a stream tells of a peer that came back, a later one does not", async () => {
  const { clock, seen, stream } = await harness();
  const silence = (): void => {
    for (let looks = 0; looks < DEAF_LOOKS; looks++) {
      clock.next();
    }
  };
  const say = stream();
  say(HELLO);
  silence();
  say(HELLO);
  equal(seen.includes("abort"), false);
  silence();
  stream()(HELLO);
  deepEqual(seen.slice(-2), ["abort", `hello of ${PEER}`]);
});

test("a stream that does not begin with a Hello is refused", async () => {
  const { seen, stream } = await harness();
  stream()(PING);
  deepEqual(seen.slice(1), ["end a stream between servers begins with a Hello", "refused null"]);
});
