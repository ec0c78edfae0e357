/**
 * `synod server`: one server in the foreground, until a signal or a failure of its own ends it.
 * The first SIGTERM or SIGINT stops it gracefully; a second ends it at once, as its disk must bear anyway.
 */
import { joinAddress } from "../../client/address.js";
import type { RunningServer, ServerConfig } from "../../server/config.js";
import { EXIT_STATUS } from "../../server/exit-status.js";
import { readSources } from "../config/read-sources.js";
import { resolveServerConfig } from "../config/server-config.js";
import { CliError, EXIT } from "../errors.js";
import type { Flags } from "../flags.js";
import { storageError } from "../storage-error.js";
import { readVersion } from "../version.js";

type RunServer = (config: ServerConfig) => Promise<RunningServer>;

/** The status of a process that a signal ended, as shells count: 128 and the signal's number. */
const SIGNAL_STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Runs until the server has ended; resolves to its exit status. */
export async function runServerCommand(text: string | undefined, flags: Flags): Promise<number> {
  const { config } = resolveServerConfig({ ...readSources(text, flags), version: readVersion(), workingDir: process.cwd() });
  const { runServer } = await import("../../main/main.js");
  const server = await start(runServer, config);
  let stopping = false;
  const onSignal = (signal: keyof typeof SIGNAL_STATUS): void => {
    if (stopping) {
      process.exit(SIGNAL_STATUS[signal]);
    }
    stopping = true;
    server.stop().catch((error: unknown) => {
      process.stderr.write(`Error: the server did not stop cleanly: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exit(EXIT.error);
    });
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, onSignal);
  }
  return server.closed;
}

/** `my_addr 127.0.0.1:8000`: which setting an error of listening is about. */
function settingOf(error: unknown, config: ServerConfig): string {
  const port = error instanceof Error && "port" in error ? error.port : undefined;
  const [name, listen] =
    port === config.paxosListen.port ? (["my_paxos", config.paxosListen] as const) : (["my_addr", config.clientListen] as const);
  return `${name} ${joinAddress(listen.host, listen.port)}`;
}

/** As settingOf, of an error of looking up a host. */
function hostSettingOf(error: unknown, { clientListen, paxosListen }: ServerConfig): string {
  const host = error instanceof Error && "hostname" in error ? error.hostname : undefined;
  const names = [host === clientListen.host ? "my_addr" : null, host === paxosListen.host ? "my_paxos" : null].filter(
    (name) => name !== null,
  );
  return `${names.length === 0 ? "an address" : names.join(" and ")} '${String(host)}'`;
}

async function start(runServer: RunServer, config: ServerConfig): Promise<RunningServer> {
  try {
    return await runServer(config);
  } catch (error) {
    throw startFailure(error, config);
  }
}

/** A start that failed, in words that name the setting to change. */
export function startFailure(error: unknown, config: ServerConfig): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  switch (code) {
    case "EADDRINUSE":
      return new CliError(`${settingOf(error, config)} is in use by another program`, {
        exitCode: EXIT_STATUS.startup,
        hint: "stopping that program (synod down, where synod up started it), or another port",
        cause: error,
      });
    case "EADDRNOTAVAIL":
      return new CliError(`${settingOf(error, config)} does not belong to this machine`, {
        exitCode: EXIT_STATUS.startup,
        hint: "0.0.0.0 to listen on every interface, or an address that this machine has",
        cause: error,
      });
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new CliError(`${hostSettingOf(error, config)} is a name that does not resolve here`, {
        exitCode: EXIT_STATUS.startup,
        hint: "an address or a name that this machine knows, or a name server that knows it",
        cause: error,
      });
    // The storage tells of the rights to a data directory itself.
    case "EACCES":
    case "EPERM":
      return new CliError(`${settingOf(error, config)} may not be used by this user`, {
        exitCode: EXIT_STATUS.startup,
        hint: "a port above 1023",
        cause: error,
      });
    default:
      return storageError(error) ?? error;
  }
}
