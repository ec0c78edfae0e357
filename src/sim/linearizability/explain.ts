/** Why a contradiction is one, as a sentence. The sentence must say nothing that the history does not show. */
import type { Operation } from "../workload/operation.js";
import { cutAt } from "./contradiction.js";
import { DEFAULT_LIMITS, searchKey } from "./search.js";
import { askedText, secondsText, valueText } from "./words.js";

/** With more operations than this beside the accused one, a sentence would not be read. */
const NAMED_MAX = 4;

/** A sentence can do without nanoseconds. */
const momentText = (micros: number): string => secondsText(micros, 6);

/**
 * `contradiction`: as `checkHistory` gives it. `everything`: the whole history, or all of that key's. For example: client 3 read
 * k1=absent from 1.200 s to 1.210 s, although client 2's PUT k1=c2.4 had been acknowledged at 1.100 s, and nobody deleted it.
 */
export function explain(contradiction: readonly Operation[], everything: readonly Operation[]): string {
  const history = everything.filter(({ key }) => key === contradiction[0]?.key);
  const accused = findAccused(contradiction);
  if (accused === undefined) {
    return "no order of these operations explains every answer";
  }
  const met = valueMet(accused);
  const origin = met === undefined || met === null ? undefined : originText(met, accused, history);
  if (origin !== undefined) {
    return `${accusation(accused)}, although ${origin}`;
  }
  const others = contradiction.filter((operation) => operation !== accused);
  if (others.length > NAMED_MAX) {
    return `${accusation(accused)}, and with the ${others.length} other operations below no order explains every answer`;
  }
  const reasons = others.map((operation) => circumstance(operation, accused));
  return `${accusation(accused)}, although ${list(reasons)}${conclusion(met, accused, { others, history })}`;
}

/** The operation with whose answer the contradiction is complete. */
function findAccused(contradiction: readonly Operation[]): Operation | undefined {
  const answered = contradiction.filter(({ outcome, end }) => outcome === "ok" && end !== null);
  answered.sort((a, b) => (a.end ?? 0) - (b.end ?? 0));
  return (
    answered.find(({ end }) => searchKey(cutAt(contradiction, end ?? 0), DEFAULT_LIMITS).verdict === "not-linearizable") ?? answered.at(-1)
  );
}

/** The value that the operation says it met; undefined where it says none. */
function valueMet({ input, output }: Operation): string | null | undefined {
  switch (input.op) {
    case "get":
      return output?.value;
    case "cas":
      return output?.swapped ? input.expected : undefined;
    case "delete":
      return output?.deleted === false ? null : undefined;
    case "put":
      return undefined;
  }
}

function accusation(operation: Operation): string {
  const { client, key, input, start, end, output } = operation;
  const when = `from ${momentText(start)} to ${momentText(end ?? start)}`;
  if (input.op === "get") {
    return `client ${client} read ${valueText(key)}=${valueText(output?.value ?? null)} ${when}`;
  }
  const told =
    input.op === "delete" && output?.deleted !== undefined
      ? output.deleted
        ? " and removed it"
        : " and found nothing"
      : input.op === "cas" && output?.swapped !== undefined
        ? output.swapped
          ? " and swapped"
          : " and met another value"
        : "";
  return `client ${client}'s ${askedText(key, input)} ran ${when}${told}`;
}

/** What is wrong with where the value comes from; undefined where somebody wrote it in time. */
function originText(value: string, accused: Operation, history: readonly Operation[]): string | undefined {
  const writes = history.filter(({ input }) => (input.op === "put" || input.op === "cas") && input.value === value);
  const possible = writes.filter(({ outcome }) => outcome !== "fail");
  const [failed] = writes;
  if (possible.length === 0) {
    return failed === undefined
      ? "nobody ever wrote that value"
      : `its only write, client ${failed.client}'s ${askedText(failed.key, failed.input)} of ${momentText(failed.start)}, had failed and was never applied`;
  }
  const first = Math.min(...possible.map(({ start }) => start));
  return first > (accused.end ?? accused.start) ? `nobody asked to write that value before ${momentText(first)}` : undefined;
}

function circumstance(operation: Operation, accused: Operation): string {
  const { client, key, input, output, outcome, start, end } = operation;
  const what = `client ${client}'s ${askedText(key, input)}`;
  if (outcome !== "ok" || end === null) {
    return `${what} of ${momentText(start)} was never answered and may have happened at any time after that`;
  }
  const when = end < accused.start ? `by ${momentText(end)}` : `between ${momentText(start)} and ${momentText(end)}`;
  if (input.op === "get") {
    return `client ${client} had read ${valueText(key)}=${valueText(output?.value ?? null)} ${when}`;
  }
  if (input.op === "put" || output?.deleted === undefined) {
    const isSwap = input.op === "cas" && output?.swapped !== undefined;
    const deed = isSwap ? (output.swapped ? "had swapped" : "had met another value") : "had been acknowledged";
    return end < accused.start && !isSwap ? `${what} had been acknowledged at ${momentText(end)}` : `${what} ${deed} ${when}`;
  }
  return `${what} had ${output.deleted ? "removed it" : "found nothing"} ${when}`;
}

type Rest = { readonly others: readonly Operation[]; readonly history: readonly Operation[] };

function conclusion(met: string | null | undefined, accused: Operation, { others, history }: Rest): string {
  const writes = others.filter(({ input, outcome }) => input.op !== "get" && outcome === "ok");
  const last = writes.reduce<Operation | undefined>(
    (found, one) => (found === undefined || one.start > found.start ? one : found),
    undefined,
  );
  const isOver = last !== undefined && (last.end ?? accused.start) < accused.start;
  if (met === null && isOver && last.input.op !== "delete") {
    const deletes = history.filter(
      ({ input, outcome, start }) => input.op === "delete" && outcome !== "fail" && start <= (accused.end ?? 0),
    );
    return deletes.length === 0 ? ", and nobody deleted it" : ", and no DELETE can have come after that";
  }
  const wrote = last?.input.op === "put" || last?.input.op === "cas" ? last.input.value : null;
  if (met !== undefined && met !== null && isOver && wrote !== met) {
    return ", and nobody wrote the value again after that";
  }
  return "; no order explains every answer";
}

function list(parts: readonly string[]): string {
  return parts.length <= 1 ? (parts[0] ?? "nothing else happened") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}
