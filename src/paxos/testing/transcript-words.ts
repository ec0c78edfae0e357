/**
 * The words of one command of a transcript, and what they stand for: names, texts in quotes, `slot=3`, durations, filters of
 * messages. Throws where something that a command needs is missing or malformed; never does anything with it.
 */
import { present } from "../../base/assert.js";
import { type Hash64, hash64 } from "../../base/hash64.js";
import { utf8Encode } from "../../base/utf8.js";
import { type Ballot, ballot } from "../ballot.js";
import { type Batch, commandsBatch } from "../batch.js";
import type { MembershipChange } from "../change.js";
import { replicaId, type Slot, slot } from "../ids.js";
import type { Filter } from "./transcript-cluster.js";

/** Cut where a word ends; a quoted text is one word. */
const WORD = /"[^"]*"|\S+/g;

/** The plain words in order, those of the form `name=value`, and the quoted texts without their quotes. */
export type Words = { readonly plain: readonly string[]; readonly named: ReadonlyMap<string, string>; readonly texts: readonly string[] };

export function parseWords(command: string): Words {
  const all: readonly string[] = command.match(WORD) ?? [];
  const texts = all.filter((word) => word.startsWith('"')).map((word) => word.slice(1, -1));
  const unquoted = all.filter((word) => !word.startsWith('"'));
  const named = new Map(
    unquoted.filter((word) => word.includes("=")).map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]),
  );
  return { plain: unquoted.filter((word) => !word.includes("=")), named, texts };
}

function named(words: Words, name: string): string {
  return present(words.named.get(name), `${name}= is given`);
}

/** `name=5`, or what stands for it where that is not said. */
export function numberOf(words: Words, name: string, otherwise: number): number {
  const text = words.named.get(name);
  return text === undefined ? otherwise : Number(text);
}

/** `ballot=1.2` */
export function ballotOf(words: Words): Ballot {
  const [round, replica] = named(words, "ballot").split(".").map(Number);
  return ballot(round ?? 0, replica ?? 0);
}

/** `slot=3` */
export function slotOf(words: Words): Slot {
  return slot(Number(named(words, "slot")));
}

/** `state=ab`, padded to the whole hash. */
export function hashOf(words: Words): Hash64 {
  return hash64(named(words, "state").padStart(16, "0"));
}

/** The text in quotes, or as many bytes as `bytes=` says: for what does not fit into one message. */
export function textBatch(words: Words): Batch {
  const bytes = words.named.get("bytes");
  if (bytes !== undefined) {
    return commandsBatch(new Uint8Array(Number(bytes)));
  }
  return commandsBatch(utf8Encode(present(words.texts[0], "a text in quotes is given")));
}

/** `promote n4`, `remove n3` or `moveTieBreak n2`; replicas are called after the server that was given their id. */
export function changeOf([kind = "", name = ""]: readonly string[]): MembershipChange {
  if (kind !== "promote" && kind !== "remove" && kind !== "moveTieBreak") {
    throw new Error(`no such change: ${kind}`);
  }
  return { kind, replica: replicaId(Number(name.slice(1))) };
}

/** `100ms` or `2s`, in µs. */
export function durationOf(word: string): number {
  const [, count, unit] = present(/^(\d+)(ms|s)$/.exec(word), `${word} is a duration such as 100ms or 2s`);
  return Number(count) * (unit === "s" ? 1_000_000 : 1000);
}

/** `accepted from n2 to n1`, any part of which may be missing. */
export function filterOf(words: readonly string[], options: ReadonlyMap<string, string>): Filter {
  const after = (word: string): string | undefined => (words.includes(word) ? words[words.indexOf(word) + 1] : undefined);
  const [first] = words;
  const number = (name: string): number | undefined => {
    const text = options.get(name);
    return text === undefined ? undefined : Number(text);
  };
  return {
    kind: first === "from" || first === "to" || first === "all" ? undefined : first,
    from: after("from"),
    to: after("to"),
    part: number("part"),
    index: number("index"),
  };
}
