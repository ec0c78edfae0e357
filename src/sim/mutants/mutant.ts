/**
 * What a planted bug is: data, never code of the program. Production sources know nothing of them; scripts/plant.js puts them into a
 * copy of the built program, all at once, each behind a switch of its own.
 */

/**
 * One change of one file. `file` is below dist/src; `find` occurs exactly once in it. In `put`, which takes its place, the word MUTANT stands
 * for "this bug is switched on", and while it is off the text must mean what `find` means.
 */
export type Edit = { readonly file: string; readonly find: string; readonly put: string };

/**
 * Where the bug must be caught. swarm: by seeds of the simulator, named schedules among them; those with a schedule or a kind of fault that `prefer`
 * names come first. test: by tests of a folder of src/, run on the planted copy.
 */
export type Hunt =
  | { readonly by: "swarm"; readonly prefer: readonly string[] }
  | { readonly by: "test"; readonly folder: string; readonly files: readonly string[] };

export type Mutant = {
  /** Its number in PROTOCOL §7.6; s1 and on: this project's own code; h1 and on: HTTP/2. */
  readonly id: string;
  /** What is wrong, in a sentence. */
  readonly name: string;
  readonly hunt: Hunt;
  readonly edits: readonly Edit[];
};

/** A bug of the list that cannot be planted: what it would break is not built. */
export type Absent = { readonly id: string; readonly name: string; readonly reason: string };

export const SWARM: Hunt = { by: "swarm", prefer: [] };

/** Named schedules (sim/scenario/schedules.ts) and kinds of faults that the bug should be met in. */
export function swarm(...prefer: readonly string[]): Hunt {
  return { by: "swarm", prefer };
}

/** The dialogues of the core: schedules written by hand, each with all that must be said in it. */
export const DIALOGUES: Hunt = { by: "test", folder: "paxos", files: ["transcript"] };
