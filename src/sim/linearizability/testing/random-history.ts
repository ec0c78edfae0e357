/** Histories for tests: those of a real register, where every operation happens at a moment of its own, and spoilt copies of them. */
import { nextChance, nextInt, type Prng } from "../../../base/prng.js";
import type { Input, Operation, Output } from "../../workload/operation.js";

export type HistoryShape = {
  readonly clients: number;
  readonly operations: number;
  readonly keys: number;
  /** How many values there are; 0: each write has one of its own. */
  readonly values: number;
  /** The chance of an operation to stay unanswered, and of an answer to leave out what was met. */
  readonly unknown: number;
  readonly untold: number;
  /** The chance of an operation to have failed. */
  readonly failed: number;
  /** Times between an operation's start and end reach up to this. */
  readonly spanMax: number;
};

type Planned = {
  readonly client: number;
  readonly key: string;
  readonly start: number;
  readonly at: number;
  readonly end: number;
  input: Input;
};

/** A linearizable history. Each client asks one thing after another; an unanswered operation happens, late, or never. */
export function makeHistory(prng: Prng, shape: HistoryShape): Operation[] {
  const planned: Planned[] = [];
  const free = new Array<number>(shape.clients).fill(0);
  for (let i = 0; i < shape.operations; i++) {
    const client = nextInt(prng, 0, shape.clients);
    const start = (free[client] as number) + nextInt(prng, 0, 3);
    const at = start + nextInt(prng, 0, shape.spanMax);
    const end = at + nextInt(prng, 0, shape.spanMax);
    free[client] = end;
    const key = `k${nextInt(prng, 0, shape.keys)}`;
    planned.push({ client, key, start, at, end, input: drawInput(prng, shape, i) });
  }
  planned.sort((a, b) => a.at - b.at);
  const store = new Map<string, string>();
  return planned.map((plan) => perform(prng, shape, plan, store));
}

function drawInput(prng: Prng, { values }: HistoryShape, i: number): Input {
  const value = values === 0 ? `v${i}` : `v${nextInt(prng, 0, values)}`;
  const drawn = nextInt(prng, 0, 100);
  if (drawn < 45) {
    return { op: "get" };
  }
  if (drawn < 75) {
    return { op: "put", value };
  }
  if (drawn < 85) {
    return { op: "delete" };
  }
  const earlier = values === 0 ? `v${nextInt(prng, Math.max(0, i - 12), i + 1)}` : `v${nextInt(prng, 0, values)}`;
  return { op: "cas", expected: nextChance(prng, 0.2) ? null : earlier, value };
}

function perform(prng: Prng, shape: HistoryShape, { client, key, start, end, input }: Planned, store: Map<string, string>): Operation {
  const asked = { client, server: 0, key, input, start };
  if (nextChance(prng, shape.failed)) {
    return { ...asked, end, outcome: "fail", output: null };
  }
  const isUnknown = nextChance(prng, shape.unknown);
  if (isUnknown && nextChance(prng, 0.4)) {
    return { ...asked, end: null, outcome: "unknown", output: null };
  }
  const output = happen(input, key, store);
  if (isUnknown) {
    return { ...asked, end: nextChance(prng, 0.5) ? null : end, outcome: "unknown", output: null };
  }
  return { ...asked, end, outcome: "ok", output: nextChance(prng, shape.untold) ? { revision: null } : output };
}

function happen(input: Input, key: string, store: Map<string, string>): Output {
  const value = store.get(key) ?? null;
  switch (input.op) {
    case "get":
      return { value, revision: null };
    case "put":
      store.set(key, input.value);
      return { revision: null };
    case "delete":
      return { deleted: store.delete(key), revision: null };
    case "cas":
      if (value === input.expected) {
        store.set(key, input.value);
      }
      return { swapped: value === input.expected, revision: null };
  }
}

/** A copy in which one answer is another one, or an operation is moved in time: often, not always, no longer linearizable. */
export function spoil(prng: Prng, history: readonly Operation[]): Operation[] {
  const victim = nextInt(prng, 0, history.length);
  const other = history[nextInt(prng, 0, history.length)]?.input;
  return history.map((operation, i) => {
    const { input, output, outcome, start, end } = operation;
    if (i !== victim || outcome !== "ok" || output === null || end === null) {
      return operation;
    }
    if (input.op === "put" || nextChance(prng, 0.3)) {
      const shift = nextInt(prng, -20, 21);
      return { ...operation, start: start + shift, end: end + shift };
    }
    if (input.op === "get") {
      return { ...operation, output: { ...output, value: other !== undefined && "value" in other ? other.value : null } };
    }
    return {
      ...operation,
      output: input.op === "delete" ? { ...output, deleted: !output.deleted } : { ...output, swapped: !output.swapped },
    };
  });
}
