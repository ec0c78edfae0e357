/**
 * Measures the store by hand: node --expose-gc dist/src/kv/testing/measure.js [keys]. Keys of 16 bytes in random order, values of
 * 256; batches of 64 puts of one session. Prints microseconds an operation, bytes a key, and the longest single step. Not a test.
 */
import { nextInt, seedPrng } from "../../base/prng.js";
import { BatchBuilder } from "../batch.js";
import { encodeCommand, encodePlainPut } from "../command.js";
import type { KvStore } from "../kv-store.js";
import { SLICE_UNITS } from "../limits.js";
import { FIRST_KEY, newFound, OPEN_END, type SessionId } from "../model.js";
import { Store } from "../store.js";
import { chunksOf, DEAF, payloadOf } from "./kit.js";

const BATCH = 64;
const keys = Number(process.argv[2] ?? 1_000_000);
/** Milliseconds of processor time of this process: other processes must not count. */
const now = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
let worst = 0;
let steps = 0;
let worstStep = 0;

/** The shorter of wall and processor time: what other processes on the machine take is not a stall of ours. */
function timed<T>(work: () => T): T {
  const wallFrom = performance.now();
  const from = now();
  const result = work();
  const spent = Math.min(now() - from, performance.now() - wallFrom);
  steps++;
  if (spent > worst) {
    worst = spent;
    worstStep = steps;
  }
  return result;
}

function report(what: string, milliseconds: number, operations: number): void {
  const each = ((milliseconds * 1000) / operations).toFixed(3);
  console.log(`${what.padEnd(34)} ${each.padStart(9)} us/op   longest step ${worst.toFixed(2)} ms (${worstStep} of ${steps})`);
  worst = 0;
  steps = 0;
  worstStep = 0;
}

/** A permutation of [0, count), so that the order is random without a list of all keys. */
function keyOf(index: number): Uint8Array {
  const text = ((index * 2_654_435_761) % 4_294_967_296).toString(10).padStart(10, "0");
  return Buffer.from(`key/--${text}`, "latin1");
}

const value = new Uint8Array(256).map((_, at) => (at * 7) & 0xff);
let seq = 1;
let slot = 1;

/** Batches of puts, made before they are applied, a hundred thousand puts at a time. */
function puts(store: KvStore, count: number, indexOf: (i: number) => number): number {
  let spent = 0;
  for (let from = 0; from < count; from += 100_000) {
    const payloads: Uint8Array[] = [];
    for (let i = from; i < Math.min(from + 100_000, count); i += BATCH) {
      const builder = new BatchBuilder();
      for (let j = i; j < Math.min(i + BATCH, count); j++) {
        value[0] = j & 0xff;
        value[1] = (j >> 8) & 0xff;
        builder.add(1 as SessionId, seq, seq > 1000 ? seq - 1000 : 0, encodePlainPut(keyOf(indexOf(j)), value));
        seq++;
      }
      payloads.push(builder.finish());
    }
    const begin = now();
    for (const payload of payloads) {
      timed(() => store.applyBatch(++slot, payload, DEAF));
    }
    spent += now() - begin;
  }
  return spent;
}

function memory(label: string, count: number): void {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  console.log(`${label.padEnd(34)} ${((rss - base) / count).toFixed(0)} B/key rss, heap ${(heapUsed / 1e6).toFixed(1)} MB`);
}

globalThis.gc?.();
const base = process.memoryUsage().rss;
const store = Store.empty();
store.applyBatch(slot, payloadOf([{ session: 0, seq: 1, firstUnacked: 0, command: { kind: "registerSession", nonce: 1n } }]), DEAF);
store.applyBatch(++slot, payloadOf([{ session: 0, seq: 1, firstUnacked: 0, command: { kind: "setQuota", bytes: 2 ** 40 } }]), DEAF);

report(
  `insert ${keys} keys, random order`,
  puts(store, keys, (i) => i),
  keys,
);
memory("after inserts", keys);
console.log(store.stats());

const prng = seedPrng(1);
const probes = Array.from({ length: 200_000 }, () => keyOf(nextInt(prng, 0, keys)));
const found = newFound();
let begin = now();
for (const probe of probes) {
  store.find(probe, found);
}
report("find, random", now() - begin, probes.length);
begin = now();
for (const probe of probes) {
  store.get(probe);
}
report("get (a copy), random", now() - begin, probes.length);
begin = now();
const scan = store.openRange({ key: FIRST_KEY, rangeEnd: OPEN_END, countOnly: true });
while (!timed(() => scan.step(SLICE_UNITS))) {
  // the next slice
}
report("count all, in slices", now() - begin, keys);
begin = now();
const sorted = store.openRange({ key: FIRST_KEY, rangeEnd: OPEN_END, sortTarget: "value", limit: 100 });
while (!timed(() => sorted.step(SLICE_UNITS))) {
  // the next slice
}
report("sort all by value, first 100", now() - begin, keys);

report(
  "update 200k, random",
  puts(store, 200_000, () => nextInt(prng, 0, keys)),
  200_000,
);
const compact = payloadOf([{ session: 0, seq: 1, firstUnacked: 0, command: { kind: "compact", revision: store.revision } }]);
begin = now();
timed(() => store.applyBatch(++slot, compact, DEAF));
report("compact, the command", now() - begin, 1);
begin = now();
while (!timed(() => store.maintain(SLICE_UNITS))) {
  // until nothing is left
}
report("reclaiming, in slices", now() - begin, 200_000);
memory("after compaction", keys);

function sliceAll(view: ReturnType<KvStore["openReadView"]>): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  while (!view.done) {
    const chunk = timed(() => view.next(SLICE_UNITS));
    if (chunk !== undefined) {
      chunks.push(chunk);
    }
  }
  return chunks;
}
begin = now();
const chunks = sliceAll(timed(() => store.openReadView()));
report("snapshot, in slices", now() - begin, keys);
const restore = Store.restore();
begin = now();
for (const chunk of chunks) {
  restore.write(chunk);
  while (!timed(() => restore.step(SLICE_UNITS))) {
    // the same chunk
  }
}
const other = timed(() => restore.finish());
report("restore, in slices", now() - begin, keys);
console.log("restored hash equal:", other.stateHash() === store.stateHash());

const wipe = encodeCommand({ kind: "deleteRange", key: FIRST_KEY, rangeEnd: OPEN_END });
const builder = new BatchBuilder();
builder.add(0 as SessionId, 1, 0, wipe);
const payload = builder.finish();
begin = now();
store.startBatch(++slot, payload, DEAF);
while (!timed(() => store.continueBatch(SLICE_UNITS))) {
  // the next slice
}
report("delete all, in slices", now() - begin, keys);
begin = now();
timed(() =>
  store.applyBatch(
    ++slot,
    payloadOf([{ session: 0, seq: 1, firstUnacked: 0, command: { kind: "compact", revision: store.revision } }]),
    DEAF,
  ),
);
while (!timed(() => store.maintain(SLICE_UNITS))) {
  // until nothing is left
}
report("compact and reclaim all", now() - begin, keys);
console.log(store.stats(), chunksOf(store.openReadView()).length);
