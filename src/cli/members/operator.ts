/**
 * An operator's side of a change: the coordinator's view of the members, one change, and the wait until it is settled. Knows every
 * member's client address once it was told, so that it goes on when the server it asked first is the one that leaves.
 */
import { setTimeout as delay } from "node:timers/promises";
import { SynodClient } from "../../client/client.js";
import { type MemberChange, type StatusResponse, StoreError } from "../../client/index.js";
import type { ClientOptions } from "../client-options.js";

/** How often a server is asked while somebody waits. Milliseconds. */
const POLL_MS = 200;

export class Operator {
  private readonly options: ClientOptions;
  private readonly client: SynodClient;
  /** As given first, then as members were heard of. */
  private endpoints: readonly string[];

  constructor(options: ClientOptions) {
    this.options = options;
    this.client = new SynodClient(options);
    this.endpoints = options.endpoints;
  }

  /** What the coordinator knows or, where none is found, what the first server knows that answers. Rejects with `StoreError`. */
  async view(): Promise<StatusResponse> {
    let failure: unknown;
    for (const endpoint of this.endpoints) {
      try {
        const first = await this.client.status({ endpoint });
        this.learn(first);
        return await this.coordinatorView(first);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** The id of the server that was named first, which `self` means. */
  async self(): Promise<bigint> {
    return (await this.client.status()).replicaId;
  }

  /** Asks for the change, through any server. Resolves with its slot, 0 where nothing had to be changed. */
  async change(change: MemberChange): Promise<number> {
    using client = this.clientOfAll();
    return await client.changeMembers(change);
  }

  async handover(heir: string | undefined): Promise<string> {
    using client = this.clientOfAll();
    return await client.handover(heir);
  }

  /** Until the coordinator says that the configuration of `slot`, or a newer one, is settled. `isSettled` false: time was up. */
  async settled(slot: number, waitMs: number): Promise<{ readonly isSettled: boolean; readonly view: StatusResponse }> {
    return this.until(waitMs, (view) => view.decidedSlot >= BigInt(slot) && view.configuration?.settled === true).then(
      ({ isReached, view }) => ({
        isSettled: isReached,
        view,
      }),
    );
  }

  /** Asks until `reached` holds, or time is up; a server that does not answer meanwhile is no reason to give up. */
  async until(
    waitMs: number,
    reached: (view: StatusResponse) => boolean | Promise<boolean>,
  ): Promise<{ readonly isReached: boolean; readonly view: StatusResponse }> {
    const endsAt = performance.now() + waitMs;
    for (;;) {
      const view = await this.view().catch((error: unknown) => {
        if (!(error instanceof StoreError) || performance.now() >= endsAt) {
          throw error;
        }
        return undefined;
      });
      if (view !== undefined && (await reached(view))) {
        return { isReached: true, view };
      }
      if (view !== undefined && performance.now() >= endsAt) {
        return { isReached: false, view };
      }
      await delay(POLL_MS);
    }
  }

  close(): void {
    this.client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private async coordinatorView(first: StatusResponse): Promise<StatusResponse> {
    const coordinator = first.members.find((member) => member.paxosAddress === first.coordinator);
    if (first.role === "coordinator" || coordinator === undefined || coordinator.clientAddress === "") {
      return first;
    }
    const other = await this.client.status({ endpoint: coordinator.clientAddress }).catch(() => first);
    return other.role === "coordinator" ? other : first;
  }

  private learn({ members }: StatusResponse): void {
    const announced = members.filter(({ kind }) => kind !== "other").map(({ clientAddress }) => clientAddress);
    this.endpoints = [...new Set([...this.endpoints, ...announced.filter((address) => address !== "")])];
  }

  private clientOfAll(): SynodClient {
    return new SynodClient({ ...this.options, endpoints: this.endpoints });
  }
}
