/**
 * A new server on its way in: what to type on its machine, and the wait until it has joined, caught up and votes. The server asks for
 * its place itself, since the cluster knows a disk and not a name; nothing is written for a server that never comes.
 */
import { parseAddress } from "../../client/address.js";
import { type Member, type StatusResponse, StoreError } from "../../client/index.js";
import { formatDuration } from "../config/quantities.js";
import { CliError, EXIT } from "../errors.js";
import { membersOf, newestAt } from "./names.js";
import type { Operator } from "./operator.js";

/** At most so many addresses stand in the command to type; one is enough while it answers. */
const JOIN_ADDRESSES_SHOWN = 3;
const PORTS_APART = 1000;
const PORT_MAX = 65_535;

export type Arrival = {
  /** Paxos address of the new server. */
  readonly address: string;
  readonly waitMs: number;
  /** It is to stay an observer: it is awaited until it has caught up. */
  readonly staysObserver: boolean;
  /** Tells a person how far it is; each line once. */
  readonly say: (line: string) => void;
};

/** The Paxos address of a server that is to come. Throws `CliError` where `text` is none, or a member's client address. */
export function newAddress(view: StatusResponse, text: string): string {
  const parsed = parseAddress(text);
  if ("problem" in parsed) {
    throw new CliError(`the new server's address '${text}' ${parsed.problem}; allowed is ${parsed.allowed}`, {
      exitCode: EXIT.invalidInput,
      hint: "its my_paxos, such as 10.0.0.4:9000",
    });
  }
  const wrong = membersOf(view).find((member) => member.clientAddress === parsed.canonical && member.paxosAddress !== parsed.canonical);
  if (wrong !== undefined) {
    throw new CliError(
      `${parsed.canonical} is where clients reach replica ${wrong.replicaId}; allowed is the new server's address for servers (my_paxos)`,
      {
        exitCode: EXIT.invalidInput,
        hint: "a my_paxos that is not taken, such as 10.0.0.4:9000",
      },
    );
  }
  return parsed.canonical;
}

/** What to type on the new machine. */
export function joinCommand(view: StatusResponse, address: string | undefined, staysObserver: boolean): string {
  const live = membersOf(view).filter((member) => member.live && member.paxosAddress !== address);
  const join = live.slice(0, JOIN_ADDRESSES_SHOWN).map((member) => member.paxosAddress);
  const paxos = address ?? "THIS_MACHINE:9000";
  const observer = staysObserver ? " --electable false" : "";
  return `synod server --join ${join.join(",")} --my-paxos ${paxos} --my-addr ${clientAddressBeside(paxos, portOf(view.clientAddress) - portOf(view.paxosAddress))}${observer}`;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

/** A client address to propose for the server at `paxos`, as many ports away as those of other servers are; 0 where there are none to ask. */
export function clientAddressBeside(paxos: string, portsApart: number): string {
  const port = portOf(paxos) + (portsApart || -PORTS_APART);
  return `${paxos.slice(0, paxos.lastIndexOf(":"))}:${port >= 1 && port <= PORT_MAX ? port : portOf(paxos) + 1}`;
}

/** Waits until the server has joined and, but for an observer, votes. Throws `CliError` when time is up. */
export async function arrive(operator: Operator, arrival: Arrival): Promise<{ readonly member: Member; readonly slot: number }> {
  const { address, waitMs, staysObserver } = arrival;
  const say = onceEach(arrival.say);
  let done: { readonly member: Member; readonly slot: number } | undefined;
  let last = "it has not joined";
  const { isReached } = await operator.until(waitMs, async (view) => {
    const member = newestAt(view, address);
    if (member === undefined || (member.kind === "voter" && !member.live)) {
      if (member === undefined) {
        say(`${address} is not a member yet. On its machine, run:\n  ${joinCommand(view, address, staysObserver)}`);
      }
      last = member === undefined ? "it has not joined" : `it is replica ${member.replicaId}, and does not answer`;
      return false;
    }
    say(`${address} has joined as replica ${member.replicaId}.`);
    const missing = member.lag === undefined ? "has not said yet how far it is" : `lacks ${member.lag} slots`;
    if (member.kind === "voter") {
      done = { member, slot: 0 };
      return true;
    }
    if (staysObserver) {
      done = { member, slot: 0 };
      last = `replica ${member.replicaId} ${missing}`;
      return member.live && member.lag === 0n;
    }
    try {
      done = { member, slot: await operator.change({ kind: "promote", replica: Number(member.replicaId) }) };
      return true;
    } catch (error) {
      if (!(error instanceof StoreError) || (error.code !== "refused" && error.code !== "unavailable")) {
        throw error;
      }
      last = error.message;
      say(`Replica ${member.replicaId} does not vote yet: it ${missing}.`);
      return false;
    }
  });
  if (isReached && done !== undefined) {
    return done;
  }
  throw new CliError(`${address} has not arrived within ${formatDuration(waitMs)}: ${last}`, {
    exitCode: EXIT.error,
    hint: "the log of the new server; then the same command again, which goes on where it was",
  });
}

/** The same line is said once, however often it holds. */
function onceEach(say: (line: string) => void): (line: string) => void {
  const said = new Set<string>();
  return (line) => {
    if (!said.has(line)) {
      said.add(line);
      say(line);
    }
  };
}
