/** What is fixed of a run before its faults are drawn: they must fit into it. */

export type Frame = {
  readonly servers: number;
  /** Machines on top that servers may be added on. */
  readonly spares: number;
  readonly durationMs: number;
  readonly isLong: boolean;
  readonly pingMs: number;
  /** Servers whose disks may be damaged or lost; the others hold a quorum. */
  readonly sacrificed: readonly number[];
};
