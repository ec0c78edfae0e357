/** Looks before starting whether the ports are free, since a server that finds its port taken can only die. It must never keep one. */
import { createServer } from "node:net";
import { parseAddress } from "../../client/address.js";
import { CliError, EXIT } from "../errors.js";
import type { UpPlan } from "./plan.js";

/** Throws `CliError` that names every address in use. */
export async function checkPortsFree(plan: UpPlan): Promise<void> {
  const wanted = plan.servers.flatMap((server) => [
    { address: server.clientListen, what: `clients of server ${server.number}` },
    { address: server.paxosAddress, what: `Paxos of server ${server.number}` },
  ]);
  const found = await Promise.all(wanted.map(async (one) => ({ ...one, problem: await listenProblem(one.address) })));
  const busy = found.filter((one) => one.problem === "EADDRINUSE");
  if (busy.length > 0) {
    const names = busy.map((one) => `${one.address} (${one.what})`).join(", ");
    throw new CliError(`already in use by another program: ${names}`, {
      exitCode: EXIT.error,
      hint: "synod status, if that is a Synod of yours; else other ports: synod up --port 8100 --paxos-port 9100 --data-dir ./synod-data-2",
    });
  }
  const wrong = found.find((one) => one.problem !== undefined);
  if (wrong !== undefined) {
    throw new CliError(`cannot listen on ${wrong.address} (${wrong.what}): ${wrong.problem}`, {
      exitCode: EXIT.error,
      hint: wrong.problem === "EACCES" ? "ports above 1023" : "--host 127.0.0.1, or another address of this machine",
    });
  }
}

/** The code of the error that listening there gives; undefined where it works. */
async function listenProblem(text: string): Promise<string | undefined> {
  const address = parseAddress(text);
  if ("problem" in address) {
    return address.problem;
  }
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
    server.listen({ host: address.host, port: address.port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
