/**
 * Looks at every server several times a second and remembers who coordinated and who voted. What came and went between two looks is
 * missed, so its counts of elections are the least that happened; changes of the configuration have numbers.
 */
import type { StatusResponse } from "../../src/client/index.js";
import type { Cluster } from "../support/cluster.js";
import type { ServerProcess } from "../support/server-process.js";
import { pause } from "../support/wait.js";

const LOOK_EVERY_MS = 200;

/** Begins at once. */
export class Watch {
  /** Why the campaign cannot go on: a server ended that nobody ended. */
  crash: string | null = null;
  elections = 0;
  coordinatorChanges = 0;
  /** How often there were so many voters after a change, as far as it was seen. */
  readonly voterCounts = new Map<number, number>();
  private readonly work: Promise<unknown>;
  private stopping = false;
  /** The highest ballot seen that coordinated. */
  private round = 0;
  private coordinator = "";
  private epochFirst = 0;
  private epochLast = 0;

  constructor(cluster: Cluster) {
    this.work = Promise.all(cluster.servers.map((server) => this.look(server)));
  }

  get configurationChanges(): number {
    return this.epochLast - this.epochFirst;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.work;
  }

  /** One that does not answer must not keep the others from being looked at. */
  private async look(server: ServerProcess): Promise<void> {
    while (!this.stopping) {
      const status = await server.status();
      if (status?.role === "coordinator") {
        this.note(status);
      }
      this.crash ??= server.crash;
      await pause(LOOK_EVERY_MS);
    }
  }

  private note({ ballot, paxosAddress, voters, configuration }: StatusResponse): void {
    const epoch = Number(configuration?.epoch ?? 0);
    if (epoch > this.epochLast) {
      if (this.epochLast === 0) {
        this.epochFirst = epoch;
      } else {
        this.voterCounts.set(voters.length, (this.voterCounts.get(voters.length) ?? 0) + 1);
      }
      this.epochLast = epoch;
    }
    const round = Number(ballot.split(".")[0]);
    if (round <= this.round) {
      return; // an old one that does not know yet
    }
    this.elections++;
    this.coordinatorChanges += this.coordinator === paxosAddress || this.coordinator === "" ? 0 : 1;
    this.round = round;
    this.coordinator = paxosAddress;
  }
}

/** Whether every server answers, and they agree that all of them vote and are heard, and the coordinator that each has that on its disk. */
export function isWhole(statuses: readonly (StatusResponse | null)[]): boolean {
  const answered = statuses.filter((status) => status !== null);
  const own = answered.map(({ replicaId }) => replicaId).sort();
  return (
    answered.length === statuses.length &&
    answered.some(({ configuration }) => configuration?.settled === true) &&
    answered.every(
      ({ voters, blocked }) =>
        blocked === "" &&
        voters.every(({ live }) => live) &&
        voters
          .map(({ replicaId }) => replicaId)
          .sort()
          .join() === own.join(),
    )
  );
}
