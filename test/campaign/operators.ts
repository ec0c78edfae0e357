/**
 * What operators do while all else happens: remove members, promote them, hand over, move the tie-break. A refusal is an answer, not a
 * failure: the cluster could not bear the change. A change whose fate is not known is asked for again until it is.
 */
import assert from "node:assert/strict";
import { StoreError, type SynodClient } from "../../src/client/index.js";
import type { Cluster } from "../support/cluster.js";
import type { ServerProcess } from "../support/server-process.js";
import { pause, until } from "../support/wait.js";

const ASK_MS = 5000;
const ASK_AGAIN_MS = 500;
/** A round's faults end by themselves well before. */
const CERTAIN_MS = 60_000;
/** How a server ends that was told to. */
const TOLD_TO_STOP = 78;

/** `open`: it may have happened. */
type Answer = "done" | "refused" | "open";

export class Operators {
  private readonly cluster: Cluster;
  private readonly client: SynodClient;
  private readonly tell: (text: string) => void;

  constructor(cluster: Cluster, tell: (text: string) => void) {
    this.cluster = cluster;
    this.client = cluster.client({ timeoutMs: ASK_MS });
    this.tell = tell;
  }

  /** Removes the member that `server` is; its process has ended then. False where that was refused. */
  async remove(server: ServerProcess): Promise<boolean> {
    const status = await server.status();
    if (status === null || status.replicaId === 0n) {
      return false;
    }
    const replica = Number(status.replicaId);
    server.mayEnd(true);
    const answer = await until(
      `the removal of replica ${replica} to be certain`,
      async () => {
        const one = await this.ask(`remove ${replica}`, () => this.client.changeMembers({ kind: "remove", replica }));
        return one === "open" ? null : one;
      },
      CERTAIN_MS,
    );
    if (answer === "refused") {
      server.mayEnd(false);
      return false;
    }
    const ended = await server.ended(CERTAIN_MS);
    assert.equal(ended.status, TOLD_TO_STOP, `how server ${server.index} ends that was removed`);
    return true;
  }

  /** Asks until `server`, which joined as an observer, votes. */
  async promote(server: ServerProcess): Promise<void> {
    await until(
      `server ${server.index} to vote when told`,
      async () => {
        const replica = Number((await server.status())?.replicaId ?? 0n);
        if (replica === 0) {
          return null;
        }
        const answer = await this.ask(`promote ${replica}`, () => this.client.changeMembers({ kind: "promote", replica }));
        return answer === "done" ? true : null;
      },
      CERTAIN_MS,
    );
  }

  /** Whether somebody coordinates who was asked to. */
  async handover(heir: number | null): Promise<boolean> {
    const address = heir === null ? undefined : this.cluster.server(heir).paxosAddress;
    return (await this.ask(`handover ${address ?? ""}`, () => this.client.handover(address))) === "done";
  }

  async moveTieBreak(to: number): Promise<boolean> {
    const replica = Number((await this.cluster.server(to).status())?.replicaId ?? 0n);
    const change = { kind: "moveTieBreak", replica } as const;
    return replica > 0 && (await this.ask(`moveTieBreak ${replica}`, () => this.client.changeMembers(change))) === "done";
  }

  private async ask(what: string, request: () => Promise<unknown>): Promise<Answer> {
    try {
      await request();
      return "done";
    } catch (error) {
      if (!(error instanceof StoreError)) {
        throw error;
      }
      this.tell(`${what}: ${error.message}`);
      await pause(ASK_AGAIN_MS);
      return error.outcome === "not-applied" && error.code === "refused" ? "refused" : "open";
    }
  }
}
