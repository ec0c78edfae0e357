/** Waits until the servers agree on a coordinator, or a server answers, by asking for their status. It must never wait without an end. */
import { setTimeout as delay } from "node:timers/promises";
import type { SynodClient } from "../../client/client.js";
import { gatherStatus, type ServerRow } from "../status/gather.js";

const POLL_MS = 100;

export type WaitOptions = {
  readonly timeoutMs: number;
  /** The Paxos addresses of the servers by those for clients, as far as known. */
  readonly paxosOf?: ReadonlyMap<string, string>;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
};

/** The coordinator's Paxos address once every server of `endpoints` follows it, or undefined with the last rows when time is up. */
export async function waitForAgreement(
  client: SynodClient,
  endpoints: () => readonly string[],
  options: WaitOptions,
): Promise<{ readonly coordinator: string | undefined; readonly rows: readonly ServerRow[] }> {
  const endsAt = performance.now() + options.timeoutMs;
  for (;;) {
    const rows = await gatherStatus(client, endpoints(), options.paxosOf);
    const coordinator = agreedCoordinator(rows, endpoints().length);
    if (coordinator !== undefined || performance.now() >= endsAt || options.signal.aborted) {
      return { coordinator, rows };
    }
    await delay(POLL_MS);
  }
}

/** Whether the server at `endpoint` answers in time. */
export async function waitForAnswer(client: SynodClient, endpoint: string, options: WaitOptions): Promise<boolean> {
  const endsAt = performance.now() + options.timeoutMs;
  while (!options.signal.aborted && performance.now() < endsAt) {
    const isUp = await client.status({ endpoint }).then(
      () => true,
      () => false,
    );
    if (isUp) {
      return true;
    }
    await delay(POLL_MS);
  }
  return false;
}

function agreedCoordinator(rows: readonly ServerRow[], expected: number): string | undefined {
  const answers = rows.flatMap((row) => (row.status === undefined ? [] : [row.status]));
  const followed = new Set(answers.map((status) => status.coordinator));
  const [coordinator] = followed;
  const works = answers.some((status) => status.role === "coordinator" && status.paxosAddress === coordinator && status.blocked === "");
  return followed.size === 1 && works && expected > 0 && answers.length >= expected ? coordinator : undefined;
}
