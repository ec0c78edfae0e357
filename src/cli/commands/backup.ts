/** `synod backup` and `synod restore`: the state of a running store to a file, what such a file holds, and a new cluster from it. */
import { resolve } from "node:path";
import type { BackupFacts } from "../../main/last-resort.js";
import { clientOptions, makeClient } from "../client-options.js";
import { CliError, EXIT } from "../errors.js";
import { type Flags, isSet } from "../flags.js";
import { clientAddressBeside } from "../members/arrive.js";
import { storageError } from "../storage-error.js";
import { target } from "./recover.js";

/** Resolves to the exit status. */
export async function runBackup(file: string, flags: Flags): Promise<number> {
  const path = resolve(file);
  const { saveBackup, inspectBackup } = await import("../../main/last-resort.js");
  if (isSet(flags, "verify")) {
    process.stdout.write(`${path}: whole.\n${factLines(await told(inspectBackup(path)))}`);
    return EXIT.ok;
  }
  const client = makeClient(clientOptions(flags, process.env));
  try {
    const { slot, bytes } = await told(saveBackup(path, client.backup()));
    process.stdout.write(`${path}: the state of slot ${slot}, ${bytes} bytes, read back and whole.\n`);
    return EXIT.ok;
  } finally {
    client.close();
  }
}

/** Resolves to the exit status. */
export async function runRestore(file: string, flags: Flags): Promise<number> {
  const { to, address } = target(flags);
  const path = resolve(file);
  const { restore } = await import("../../main/last-resort.js");
  const made = await told(restore(path, to, address));
  process.stdout.write(`${path}: whole.
${factLines(made)}Made ${to}: the only voter of the new cluster ${made.clusterId}. Revisions go on far above ${made.revision}. Now:
  1. Start it, with a my_addr of your choice, and itself alone as replica:
     synod server "my_addr:'${clientAddressBeside(address, 0)}' my_paxos:'${address}' data_dir:'${to}' replica:'${address}'"
  2. Start other servers with empty data directories and --join ${address}: they join by themselves.
`);
  return EXIT.ok;
}

function factLines({ slot, revision, keys, dataBytes, sessions, bytes, stateHash, members }: BackupFacts): string {
  return `  slot ${slot}, revision ${revision}, state hash ${stateHash}
  ${keys} keys, ${dataBytes} bytes of data, ${sessions} sessions, ${bytes} bytes in the file
  members then: ${members.join(", ")}
`;
}

/** The result of `work`, or its failure as a person is told. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const isBroken = error instanceof Error && error.name === "BackupBroken";
    throw isBroken
      ? new CliError(error.message, { exitCode: EXIT.io, hint: "the same command again", cause: error })
      : (storageError(error) ?? error);
  }
}
