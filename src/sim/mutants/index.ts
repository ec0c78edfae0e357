/** All planted bugs, and those of the list that cannot be planted yet. */

export { ABSENT } from "./absent.js";

import { CONDUCT_MUTANTS } from "./conduct.js";
import { HTTP2_MUTANTS } from "./http2.js";
import { MEMBERSHIP_MUTANTS } from "./membership.js";
import type { Mutant } from "./mutant.js";
import { RECOVERY_MUTANTS } from "./recovery.js";
import { SAFETY_MUTANTS } from "./safety.js";
import { SERVING_MUTANTS } from "./serving.js";
import { SESSION_MUTANTS } from "./sessions.js";
import { STATE_MUTANTS } from "./state-machine.js";
import { STORAGE_MUTANTS } from "./storage.js";
import { VOTER_MUTANTS } from "./voters.js";

export const MUTANTS: readonly Mutant[] = [
  ...SAFETY_MUTANTS,
  ...MEMBERSHIP_MUTANTS,
  ...RECOVERY_MUTANTS,
  ...CONDUCT_MUTANTS,
  ...STORAGE_MUTANTS,
  ...STATE_MUTANTS,
  ...SERVING_MUTANTS,
  ...VOTER_MUTANTS,
  ...SESSION_MUTANTS,
  ...HTTP2_MUTANTS,
];
