/** Everything that clients asked and were told in one run, in the order in which it was over. It judges nothing. */
import type { Tally } from "../engine/tally.js";
import type { Operation } from "./operation.js";

/** Microseconds as seconds with all digits: how times are told in violations. */
export function seconds(micros: number): string {
  return `${Math.floor(micros / 1_000_000)}.${String(micros % 1_000_000).padStart(6, "0")}`;
}

/** An operation in one line, for a person. */
export function describeOperation(operation: Operation): string {
  const { client, server, key, input, start, end, outcome, output } = operation;
  const asked =
    input.op === "put"
      ? `put ${key}=${input.value}`
      : input.op === "cas"
        ? `cas ${key} ${input.expected ?? "absent"} -> ${input.value}`
        : `${input.op} ${key}`;
  const told =
    output === null
      ? outcome
      : [
          input.op === "get" ? (output.value ?? "absent") : outcome,
          ...(output.swapped === undefined ? [] : [output.swapped ? "swapped" : "not swapped"]),
          ...(output.deleted === undefined ? [] : [output.deleted ? "deleted" : "nothing to delete"]),
          ...(output.revision === null ? [] : [`at revision ${output.revision}`]),
        ].join(" ");
  const when = end === null ? `from ${seconds(start)} s on` : `${seconds(start)} to ${seconds(end)} s`;
  return `client ${client} through n${server + 1}, ${when}: ${asked}: ${told}`;
}

export class History {
  readonly operations: Operation[] = [];
  private readonly tally: Tally;

  constructor(tally: Tally) {
    this.tally = tally;
  }

  add(operation: Operation): void {
    this.operations.push(operation);
    this.tally.add(`${operation.input.op} ${operation.outcome}`);
  }
}
