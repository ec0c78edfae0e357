/**
 * The servers of one `synod up`: starts, kills and stops them by number, and says when one has ended that nobody asked to.
 * It must never start a server that the user has not asked for.
 */
import { EXIT_STATUS } from "../../server/exit-status.js";
import { CliError, EXIT } from "../errors.js";
import type { PlannedServer, UpPlan } from "./plan.js";
import { describeEnding, type Ending, ServerProcess } from "./server-process.js";
import { unlockUp, writeUpFile } from "./state.js";

/** How long a server may take to stop gracefully before it is killed. Milliseconds. */
export const STOP_MS_MAX = 10_000;

/** Told of each server that ended without being asked. */
export type DeathListener = (server: ServerProcess, ending: Ending) => void;

/** The servers, by number. */
export class Cluster {
  readonly plan: UpPlan;
  private readonly processes = new Map<number, ServerProcess>();
  private readonly onDeath: DeathListener;

  constructor(plan: UpPlan, onDeath: DeathListener) {
    this.plan = plan;
    this.onDeath = onDeath;
  }

  /** The servers that run now. */
  get running(): readonly ServerProcess[] {
    return [...this.processes.values()].filter((server) => server.isRunning);
  }

  startAll(): void {
    for (const planned of this.plan.servers) {
      this.launch(planned);
    }
  }

  /** Starts server `number`. Throws `CliError` where it runs or is none of ours. */
  start(number: number): ServerProcess {
    const planned = this.planned(number);
    const process = this.processes.get(number);
    if (process?.isRunning === true) {
      throw new CliError(`server ${number} runs already (process ${process.record.pid})`, {
        exitCode: EXIT.invalidInput,
        hint: `KILL ${number}, or STOP ${number}`,
      });
    }
    return this.launch(planned);
  }

  /** Ends server `number` at once, as a crash would. */
  async kill(number: number): Promise<Ending> {
    const server = this.runningServer(number);
    server.send("SIGKILL");
    return server.ended;
  }

  /** Stops server `number` gracefully; kills it where that takes too long. */
  async stop(number: number): Promise<Ending> {
    return stopOne(this.runningServer(number));
  }

  /** Stops all; `hurry` (a second Ctrl-C) kills those that are left. Gives the data directory up when nothing runs. */
  async stopAll(hurry: AbortSignal): Promise<void> {
    const killAll = (): void => {
      for (const server of this.running) {
        server.send("SIGKILL");
      }
    };
    hurry.addEventListener("abort", killAll);
    await Promise.all(this.running.map(stopOne));
    hurry.removeEventListener("abort", killAll);
    unlockUp(this.plan.dataDir);
  }

  /** Lines for SERVERS. */
  describe(): string {
    return this.plan.servers
      .map((planned) => {
        const server = this.processes.get(planned.number);
        const state = server?.isRunning === true ? `process ${server.record.pid}` : "not running";
        return `${planned.number}  ${planned.clientAddress}  ${planned.paxosAddress}  ${state}`;
      })
      .join("\n");
  }

  private launch(planned: PlannedServer): ServerProcess {
    const server = new ServerProcess(planned);
    this.processes.set(planned.number, server);
    this.save();
    server.ended.then((ending) => {
      this.save();
      if (!ending.wasAsked) {
        this.onDeath(server, ending);
      }
    });
    return server;
  }

  private save(): void {
    const servers = this.running.map((server) => ({ number: server.planned.number, ...server.record }));
    writeUpFile(this.plan.dataDir, servers);
  }

  private planned(number: number): PlannedServer {
    const planned = this.plan.servers.find((one) => one.number === number);
    if (planned === undefined) {
      const count = this.plan.servers.length;
      throw new CliError(`there is no server ${number}; allowed is a number from 1 to ${count}`, {
        exitCode: EXIT.invalidInput,
        hint: "SERVERS",
      });
    }
    return planned;
  }

  private runningServer(number: number): ServerProcess {
    this.planned(number);
    const server = this.processes.get(number);
    if (server?.isRunning !== true) {
      throw new CliError(`server ${number} does not run`, { exitCode: EXIT.invalidInput, hint: `START ${number}` });
    }
    return server;
  }
}

async function stopOne(server: ServerProcess): Promise<Ending> {
  server.send("SIGTERM");
  const timer = setTimeout(() => server.send("SIGKILL"), STOP_MS_MAX);
  const ending = await server.ended;
  clearTimeout(timer);
  return ending;
}

/** `server 3 (127.0.0.1:8002) was ended by SIGKILL`. */
export function describeServerEnding(server: ServerProcess, ending: Ending): string {
  return `server ${server.planned.number} (${server.planned.clientAddress}) ${describeEnding(ending)}`;
}

/** What a person does about a server that ended by itself. One that was removed, or is damaged, would end again on the data it has. */
export function describeReturn({ number, dataDir }: PlannedServer, { code }: Ending): string {
  return code === EXIT_STATUS.halted
    ? `once ${dataDir} is moved away, and not before, START ${number} makes it a new member; where it was removed it follows until synod member promote lets it vote`
    : `START ${number} brings it back`;
}

/** What a person does where START has failed: again on the same data helps only once the log says what was wrong. */
export function describeFailedStart(server: PlannedServer, ending: Ending): string {
  const log = `its log, ${server.logFile}`;
  return ending.code === EXIT_STATUS.halted ? `${describeReturn(server, ending)}; else ${log}` : log;
}

/** The line that says how to reach the cluster from outside, through a server that runs. */
export function describeReady(coordinator: string, running: readonly ServerProcess[]): string {
  const first = running[0]?.planned.clientAddress ?? "";
  return `Ready: ${coordinator} coordinates. From another terminal: synod client ${first}, synod status --endpoints ${first}`;
}
