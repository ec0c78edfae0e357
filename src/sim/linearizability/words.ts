/** Operations of a history in words, for sentences, tables and drawings. It must never let a control character through. */
import type { Input, Operation } from "../workload/operation.js";

/** Longer values are cut: a person needs to tell them apart, not to read them. */
const VALUE_CHARS_MAX = 40;
const PLAIN = /^[\w.:+@/-]+$/;
const MICROS_PER_SECOND = 1e6;
const DIGITS_MIN = 3;
const DIGITS_MAX = 9;

/** A time in seconds, with as many decimals as it has, at least three and at most `digitsMax`: `1.200 s`. */
export function secondsText(micros: number, digitsMax: number = DIGITS_MAX): string {
  const [whole = "0", decimals = ""] = (micros / MICROS_PER_SECOND).toFixed(digitsMax).split(".");
  return `${whole}.${decimals.replace(/0+$/, "").padEnd(DIGITS_MIN, "0")} s`;
}

/** A key or value: as it is where it is plain, in quotes otherwise, cut where it is long; `absent` for null. */
export function valueText(value: string | null): string {
  if (value === null) {
    return "absent";
  }
  const cut = value.length > VALUE_CHARS_MAX ? `${value.slice(0, VALUE_CHARS_MAX)}...` : value;
  return PLAIN.test(value) && value !== "absent" ? cut : JSON.stringify(cut);
}

/** What was asked: `PUT k1=c2.4`. */
export function askedText(key: string, input: Input): string {
  const name = valueText(key);
  switch (input.op) {
    case "get":
      return `GET ${name}`;
    case "put":
      return `PUT ${name}=${valueText(input.value)}`;
    case "delete":
      return `DELETE ${name}`;
    case "cas":
      return `CAS ${name} from ${valueText(input.expected)} to ${valueText(input.value)}`;
  }
}

/** What came of it: a read's value, `stored`, `swapped`, `found nothing`, ... */
export function answerText({ input, output, outcome }: Operation): string {
  if (outcome !== "ok") {
    return outcome === "fail" ? "failed, not applied" : "no answer";
  }
  switch (input.op) {
    case "get":
      return output?.value === undefined ? "answered" : valueText(output.value);
    case "put":
      return "stored";
    case "delete":
      return output?.deleted === undefined ? "done" : output.deleted ? "removed it" : "found nothing";
    case "cas":
      return output?.swapped === undefined ? "done" : output.swapped ? "swapped" : "met another value";
  }
}
