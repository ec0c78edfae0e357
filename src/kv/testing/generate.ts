/**
 * Random requests from a seed, drawn so that they meet: few keys, of few bytes, prefixes of one another, with zeros and 0xFF;
 * revisions around now; every option and every refusal.
 */
import { nextChance, nextInt, type Prng } from "../../base/prng.js";
import type { Command } from "../command.js";
import {
  type Compare,
  type DeleteRangeRequest,
  type LeaseId,
  type Operation,
  type PutRequest,
  type RangeRequest,
  sessionId,
  type TxnRequest,
} from "../model.js";

const KEY_BYTES = [0, 0x61, 0x62, 0x63, 0xff];

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[nextInt(prng, 0, from.length)] as T;
}

/** Options that are absent must be absent, not undefined. */
function maybe<T extends object>(prng: Prng, chance: number, part: () => T): Partial<T> {
  return nextChance(prng, chance) ? part() : {};
}

export function randomKey(prng: Prng, emptyToo = true): Uint8Array {
  const length = emptyToo && nextChance(prng, 0.02) ? 0 : nextInt(prng, 1, 4);
  return Uint8Array.from({ length }, () => pick(prng, KEY_BYTES));
}

export function randomValue(prng: Prng): Uint8Array {
  return Uint8Array.from({ length: nextInt(prng, 0, nextChance(prng, 0.05) ? 3000 : 12) }, () => nextInt(prng, 0, 256));
}

export function randomPut(prng: Prng): PutRequest {
  const ignoreValue = nextChance(prng, 0.1);
  const ignoreLease = nextChance(prng, 0.1);
  return {
    key: randomKey(prng),
    value: ignoreValue && nextChance(prng, 0.9) ? new Uint8Array(0) : randomValue(prng),
    prevKv: nextChance(prng, 0.2),
    ignoreValue,
    ignoreLease,
    lease: (nextChance(prng, ignoreLease ? 0.1 : 0.3) ? BigInt.asIntN(64, BigInt(nextInt(prng, 0, 1000)) << 53n) : 0n) as LeaseId,
  };
}

export function randomDelete(prng: Prng): DeleteRangeRequest {
  return { key: randomKey(prng), prevKv: nextChance(prng, 0.3), ...maybe(prng, 0.4, () => ({ rangeEnd: randomKey(prng, false) })) };
}

export function randomRange(prng: Prng, now: number): RangeRequest {
  const near = (): number => nextInt(prng, -1, now + 2);
  return {
    key: randomKey(prng),
    ...maybe(prng, 0.8, () => ({ rangeEnd: randomKey(prng, false) })),
    ...maybe(prng, 0.5, () => ({ revision: near() })),
    ...maybe(prng, 0.3, () => ({ limit: nextInt(prng, 0, 6) })),
    ...maybe(prng, 0.1, () => ({ countOnly: true })),
    ...maybe(prng, 0.2, () => ({ keysOnly: true })),
    ...maybe(prng, 0.4, () => ({ sortOrder: pick(prng, ["none", "ascend", "descend"] as const) })),
    ...maybe(prng, 0.4, () => ({ sortTarget: pick(prng, ["key", "version", "create", "mod", "value"] as const) })),
    ...maybe(prng, 0.1, () => ({ minModRevision: Math.max(0, near()) })),
    ...maybe(prng, 0.1, () => ({ maxModRevision: Math.max(0, near()) })),
    ...maybe(prng, 0.1, () => ({ minCreateRevision: Math.max(0, near()) })),
    ...maybe(prng, 0.1, () => ({ maxCreateRevision: Math.max(0, near()) })),
  };
}

function randomCompare(prng: Prng, now: number): Compare {
  const keys = { key: randomKey(prng), ...maybe(prng, 0.3, () => ({ rangeEnd: randomKey(prng, false) })) };
  const result = pick(prng, ["equal", "greater", "less", "not-equal"] as const);
  const target = pick(prng, ["version", "create", "mod", "lease", "value"] as const);
  return target === "value"
    ? { result, ...keys, target, operand: randomValue(prng) }
    : { result, ...keys, target, operand: BigInt(nextInt(prng, -1, target === "version" ? 4 : now + 2)) };
}

function randomOperation(prng: Prng, now: number, depth: number): Operation {
  switch (nextInt(prng, 0, depth > 2 ? 3 : 4)) {
    case 0:
      return { kind: "put", ...randomPut(prng) };
    case 1:
      return { kind: "deleteRange", ...randomDelete(prng) };
    case 2:
      return { kind: "range", ...randomRange(prng, now), revision: nextChance(prng, 0.2) ? nextInt(prng, -1, now + 2) : 0 };
    default:
      return { kind: "txn", ...randomTxn(prng, now, depth + 1) };
  }
}

export function randomTxn(prng: Prng, now: number, depth = 0): TxnRequest {
  const list = <T>(most: number, make: () => T): T[] => Array.from({ length: nextInt(prng, 0, most + 1) }, make);
  return {
    compares: list(2, () => randomCompare(prng, now)),
    success: list(3, () => randomOperation(prng, now, depth)),
    failure: list(3, () => randomOperation(prng, now, depth)),
  };
}

/** `now`, `slot`: the store's, for requests that aim near them. */
export function randomCommand(prng: Prng, now: number, slot: number): Command {
  const dice = nextInt(prng, 0, 100);
  if (dice < 45) {
    return nextChance(prng, 0.5) ? { kind: "put", key: randomKey(prng), value: randomValue(prng) } : { kind: "put", ...randomPut(prng) };
  }
  if (dice < 62) {
    return { kind: "deleteRange", ...randomDelete(prng) };
  }
  if (dice < 85) {
    return { kind: "txn", ...randomTxn(prng, now) };
  }
  if (dice < 91) {
    return { kind: "compact", revision: nextInt(prng, Math.max(0, now - 15), now + 2) };
  }
  if (dice < 96) {
    return { kind: "registerSession", nonce: BigInt(nextInt(prng, 0, 1_000_000)) << 40n };
  }
  if (dice < 97) {
    return { kind: "closeSession", session: sessionId(nextInt(prng, 1, 8)) };
  }
  if (dice < 98) {
    return { kind: "expireSessions", usedBelowSlot: Math.max(0, slot - nextInt(prng, 0, 10)) };
  }
  return nextChance(prng, 0.2)
    ? { kind: "skipRevisions", by: nextInt(prng, 1, 30) }
    : { kind: "setQuota", bytes: nextChance(prng, 0.5) ? 2 ** 31 : nextInt(prng, 500, 20_000) };
}
