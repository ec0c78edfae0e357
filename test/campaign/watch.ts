/**
 * Looks at every server several times a second and remembers who coordinated and who voted. What came and went between two looks is
 * missed, so its counts are the least that happened.
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
  configurationChanges = 0;
  /** How often there were so many voters after a change. */
  readonly voterCounts = new Map<number, number>();
  private readonly work: Promise<unknown>;
  private stopping = false;
  /** The highest ballot seen that coordinated. */
  private round = 0;
  private coordinator = "";
  private voters = "";

  constructor(cluster: Cluster) {
    this.work = Promise.all(cluster.servers.map((server) => this.look(server)));
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

  private note({ ballot, paxosAddress, voters }: StatusResponse): void {
    const round = Number(ballot.split(".")[0]);
    if (round <= this.round) {
      return; // an old one that does not know yet
    }
    this.elections++;
    this.coordinatorChanges += this.coordinator === paxosAddress || this.coordinator === "" ? 0 : 1;
    const now = voters.map(({ replicaId }) => replicaId).join(" ");
    if (now !== this.voters && this.voters !== "") {
      this.configurationChanges++;
      this.voterCounts.set(voters.length, (this.voterCounts.get(voters.length) ?? 0) + 1);
    }
    this.round = round;
    this.coordinator = paxosAddress;
    this.voters = now;
  }
}

/** Whether every server answers, and they agree that all of them vote, and are heard. */
export function isWhole(statuses: readonly (StatusResponse | null)[]): boolean {
  const answered = statuses.filter((status) => status !== null);
  const own = answered.map(({ replicaId }) => replicaId).sort();
  return (
    answered.length === statuses.length &&
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
