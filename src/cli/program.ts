/**
 * The commands, their arguments and flags, for commander. Says what may be typed; what it does is loaded when it is typed.
 * It must never import a command's code at the top.
 */
import { Command, Option } from "commander";
import { flagOf, SETTINGS } from "./config/settings.js";
import { badArgument } from "./errors.js";
import type { Flags } from "./flags.js";
import { nearest } from "./suggest.js";
import { readVersion } from "./version.js";

const EXAMPLES = `
Examples:
  synod up                              five servers on this machine, and a prompt
  synod client localhost:8000           a prompt: GET k, PUT k v, DELETE k, HELP, EXIT
  synod client localhost:8000 true      the same, after a tour with sample data
  synod put city Paris                  one write;  synod get city  reads it
  synod status                          every server, its role and its state
  synod member list                     who votes, who observes, who is missing
  synod member add 10.0.0.4:9000        says what to run there, and waits until it votes
  synod backup FILE                     the state of a running store, to a file
  synod down                            stops what synod up started; --wipe removes its data
  synod server "my_addr:'127.0.0.1:8000' my_paxos:'127.0.0.1:9000'
      replica:'127.0.0.1:9000' replica:'127.0.0.1:9001' replica:'127.0.0.1:9002'"
                                        one server of three; the others likewise
`;

const SERVER_HELP = `
The argument is protobuf text format: name:value pairs, text in quotes, separated by spaces, commas or lines; # begins a comment.
Every setting can also be a flag, a variable (SYNOD_MY_ADDR) or stand in a file (--config): flag > argument > environment > file > default.
synod config show prints each value and where it comes from.

Settings:
${SETTINGS.map((setting) => `  ${setting.name.padEnd(22)} ${setting.summary}${setting.isRequired ? " (required)" : ""}`).join("\n")}
`;

const SIM_HELP = `
The same seed and flags give the same run on every machine. Exit status: 0 no violation, 1 a violation (or, from 200 seeds on, a case
that no seed has seen), 5 interrupted.

Examples:
  synod sim                             ten seeds
  synod sim --seed 1000 --seeds 200     200 seeds, with the coverage they must reach
  synod sim --seed 7 --trace run.txt    everything that happens in one
  synod sim --faults network --servers 5
  synod sim --demo partition            two halves that accept different writes, and why Synod does not
`;

const CHECK_HISTORY_HELP = `
A line: {"client":1,"start_ns":0,"end_ns":900,"op":"put","key":"k","input":"v","output":null,"outcome":"ok"}
op is get, put, delete or cas; outcome is ok, fail (never happened) or unknown (end_ns may be null). docs/HISTORIES.md has it all.
Exit status: 0 linearizable, 1 not linearizable, 3 a line is wrong, 6 the file cannot be read, 7 undecided within the limits.
`;

/** The whole command line. `done` is told the exit status of the command that ran. */
export function makeProgram(done: (exitCode: number) => void): Command {
  const program = new Command("synod");
  program
    .description("Synod: a replicated, durable, linearizable key-value store.")
    .version(readVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .addHelpText("after", EXAMPLES)
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .action((_flags: Flags, command: Command) => {
      const [unknown] = command.args;
      if (unknown !== undefined) {
        const names = command.commands.map((one) => one.name());
        const guess = nearest(unknown, names);
        throw badArgument(
          `unknown command '${unknown}'`,
          guess === undefined ? "synod --help" : `synod ${guess}, if that is what you meant`,
        );
      }
      command.outputHelp();
    });
  addServerCommands(program, done);
  addClusterCommands(program, done);
  addClientCommands(program, done);
  addMemberCommands(program, done);
  addLastResort(program, done);
  addSimCommand(program, done);
  addHistoryCommand(program, done);
  // Only here, since commands inherit it when they are added: a word that is no command is ours to explain.
  return program.allowExcessArguments(true);
}

function addServerCommands(program: Command, done: (exitCode: number) => void): void {
  const server = program
    .command("server")
    .description("run one server in the foreground")
    .argument("[config]", "the configuration in protobuf text format, as one argument")
    .addHelpText("after", SERVER_HELP)
    .action(async (text: string | undefined, flags: Flags) => {
      const { runServerCommand } = await import("./commands/server.js");
      done(await runServerCommand(text, flags));
    });
  addSettingFlags(server);
  const config = program.command("config").description("look at a server's configuration");
  const show = config
    .command("show")
    .description("print every setting with its value and origin")
    .argument("[config]", "as for synod server")
    .addOption(new Option("-w, --write-out <format>", "output").choices(["table", "json", "text"]).default("table"))
    .action(async (text: string | undefined, flags: Flags) => {
      const { runConfigShow } = await import("./commands/config-show.js");
      done(runConfigShow(text, flags));
    });
  addSettingFlags(show);
}

function addClusterCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command("up")
    .description("start several servers on this machine, with a prompt")
    .argument("[servers]", "how many (default 5, or as many as the data directory holds)")
    .option("--fail-rate <p>", "chance that an acceptor refuses a message, as a test")
    .option("--data-dir <dir>", "folder of the servers' data and logs", "./synod-data")
    .option("--host <host>", "address to listen on (default 127.0.0.1)")
    .option("--port <port>", "client port of the first server (default 8000)")
    .option("--paxos-port <port>", "Paxos port of the first server (default 9000)")
    .action(async (count: string | undefined, flags: Flags) => {
      const { runUp } = await import("./commands/up.js");
      done(await runUp(count, flags));
    });
  program
    .command("down")
    .description("stop what synod up started")
    .option("--data-dir <dir>", "the folder that synod up was given", "./synod-data")
    .option("--wipe", "also remove the servers' data and logs")
    .action(async (flags: Flags) => {
      const { runDown } = await import("./commands/down.js");
      done(await runDown(flags));
    });
}

function addLastResort(program: Command, done: (exitCode: number) => void): void {
  program
    .command("backup")
    .description("write the state of a running store to a file, or look whether such a file is whole")
    .argument("<file>", "the file to write, which must not exist; with --verify the one to read")
    .option("--verify", "read the file, and print what it holds")
    .option("--endpoints <addresses>", "servers, with commas between them (default localhost:8000; SYNOD_ENDPOINTS)")
    .option("--command-timeout <duration>", "how long a server may send nothing (default 5s)")
    .option("--dial-timeout <duration>", "time for a connection (default 2s)")
    .action(async (file: string, flags: Flags) => {
      done(await (await import("./commands/backup.js")).runBackup(file, flags));
    });
  program
    .command("restore")
    .description("begin a new cluster with the state of a backup")
    .argument("<file>", "the backup")
    .option("--to <dir>", "the data directory to make, of the new cluster's first server")
    .option("--address <host:port>", "the Paxos address (my_paxos) of that server")
    .action(async (file: string, flags: Flags) => {
      done(await (await import("./commands/backup.js")).runRestore(file, flags));
    });
  program
    .command("recover")
    .description("the last resort: one new data directory out of those left, when a majority of the voters is lost for good")
    .option("--from <dirs...>", "data directories of stopped servers, as many as are left; they are only read")
    .option("--to <dir>", "the directory to make")
    .option("--address <host:port>", "the Paxos address (my_paxos) of the server that will run on it")
    .option("--yes", "make it without asking")
    .action(async (flags: Flags) => {
      done(await (await import("./commands/recover.js")).runRecover(flags));
    });
}

function addClientCommands(program: Command, done: (exitCode: number) => void): void {
  program
    .command("client")
    .description("a prompt for GET, PUT and DELETE; reads commands from a pipe too")
    .argument("[address]", "host:port of a server, or several with commas (default localhost:8000)")
    .argument("[tour]", "true: first fill the store with sample pairs and show DELETE, GET and PUT")
    .option("--command-timeout <duration>", "time for one request (default 5s)")
    .option("--dial-timeout <duration>", "time for a connection (default 2s)")
    .action(async (address: string | undefined, tour: string | undefined, flags: Flags) => {
      const { runClient } = await import("./commands/client.js");
      done(await runClient(address, tour, flags));
    });
  const get = program.command("get").description("print a key and its value").argument("<key>", "the key");
  get.option("--print-value-only", "print only the value");
  addClientFlags(get, ["simple", "json", "table"], "simple").action(async (key: string, flags: Flags) => {
    done(await (await import("./commands/kv.js")).runGet(key, flags));
  });
  const put = program
    .command("put")
    .description("store a value")
    .argument("<key>", "the key")
    .argument("[value]", "the value; from stdin if left out");
  addClientFlags(put, ["simple", "json", "table"], "simple").action(async (key: string, value: string | undefined, flags: Flags) => {
    done(await (await import("./commands/kv.js")).runPut(key, value, flags));
  });
  const del = program.command("del").description("remove a key").argument("<key>", "the key");
  addClientFlags(del, ["simple", "json", "table"], "simple").action(async (key: string, flags: Flags) => {
    done(await (await import("./commands/kv.js")).runDelete(key, flags));
  });
  const status = program.command("status").description("show every server of the cluster");
  addClientFlags(status, ["table", "simple", "json"], "table").action(async (flags: Flags) => {
    done(await (await import("./commands/status.js")).runStatus(flags));
  });
}

const MEMBER_HELP = `
A member is named by its ReplicaId, its my_paxos or its my_addr; self is the server that is asked. Any server may be asked. A change is
reported when it is settled: when all voters that answer have it on disk. What would leave no quorum is refused, with what to do (exit status 4).
A change that is decided and not settled within --wait ends with status 5. docs/OPERATIONS.md has examples.
`;

function addMemberCommands(program: Command, done: (exitCode: number) => void): void {
  const member = program.command("member").description("list, add, remove and replace servers of a running cluster");
  member.addHelpText("after", MEMBER_HELP);
  const load = () => import("./commands/member.js");
  const list = member.command("list").description("print who votes, who observes and who is missing");
  addClientFlags(list, ["table", "simple", "json"], "table").action(async (flags: Flags) => {
    done(await (await load()).runMemberList(flags));
  });
  const add = member
    .command("add")
    .description("say how to start a new server, wait until it has joined and caught up, and make it a voter")
    .argument("[address]", "my_paxos of the new server; without it, only the command to run there is printed")
    .option("--observer", "it shall not vote");
  addWaitFlag(addClientFlags(add, ["simple", "json"], "simple"), "10m").action(async (address: string | undefined, flags: Flags) => {
    done(await (await load()).runMemberAdd(address, flags));
  });
  const remove = member.command("remove").description("take a server out for good; its process ends").argument("<member>", "which one");
  addWaitFlag(addClientFlags(remove, ["simple", "json"], "simple"), "30s").action(async (name: string, flags: Flags) => {
    done(await (await load()).runMemberRemove(name, flags));
  });
  const promote = member.command("promote").description("make an observer that has caught up a voter").argument("<member>", "which one");
  addWaitFlag(addClientFlags(promote, ["simple", "json"], "simple"), "30s").action(async (name: string, flags: Flags) => {
    done(await (await load()).runMemberPromote(name, flags));
  });
  const replace = member
    .command("replace")
    .description("add a new server, wait until it votes, and remove the old one")
    .argument("<old>", "the member that goes")
    .argument("<new>", "my_paxos of the server that comes");
  addWaitFlag(addClientFlags(replace, ["simple", "json"], "simple"), "10m").action(async (old: string, fresh: string, flags: Flags) => {
    done(await (await load()).runMemberReplace(old, fresh, flags));
  });
  const handover = program
    .command("handover")
    .description("let another voter coordinate")
    .argument("[member]", "which one; the most advanced other voter if left out");
  addClientFlags(handover, ["simple", "json"], "simple").action(async (name: string | undefined, flags: Flags) => {
    done(await (await load()).runHandover(name, flags));
  });
}

function addWaitFlag(command: Command, usual: string): Command {
  return command.option("--wait <duration>", `time until it is done and settled (default ${usual})`);
}

function addSimCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command("sim")
    .description("run a simulated cluster under faults and check everything it does")
    .option("--seed <n>", "the first seed (default 1); alone it runs one seed")
    .option("--seeds <k>", "how many seeds, from the first on (default 10)")
    .option("--minutes <m>", "virtual minutes of faults for each seed (default 1, and 20 for every tenth)")
    .option("--servers <n>", "servers of the cluster, 1 to 7 (default drawn)")
    .option("--faults <list>", "kinds of faults or families (network,disk,process,clock,members), with commas; or none (default drawn)")
    .option("--trace <file>", "write all that happens to a file")
    .option("--pulse", "with --trace: also Pings, Pongs, ticks, and what is written before it is synced")
    .option("--shrink", "make each failing run as small as it gets (default: the first one, for a minute)")
    .option("--no-shrink", "show a failing run as it is")
    .option("--replay <file>", "run the scenario that a failing run has written")
    .option("--demo <name>", "partition or restart: what goes wrong where a quorum is a majority of whoever answers")
    .option("--quorum <rule>", "with --demo: only live (the unsafe rule) or only majority (the real one)")
    .option("--mutant <id>", "plant a bug, to see it caught (docs/MUTANTS.md; in a source tree)")
    .option("--json", "one line of JSON for each seed, and one for all")
    .addHelpText("after", SIM_HELP)
    .action(async (flags: Flags) => {
      done(await (await import("./commands/sim.js")).runSim(flags));
    });
}

function addHistoryCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command("check-history")
    .description("say whether what clients recorded is linearizable")
    .argument("<file>", "the history, one operation a line in JSON, or - for stdin")
    .option("--svg <file>", "where to draw a contradiction (default: the history's name and .svg)")
    .option("--steps <n>", "steps of the search at one key before it gives up (default 20000000)")
    .addHelpText("after", CHECK_HISTORY_HELP)
    .action(async (file: string, flags: Flags) => {
      const { runCheckHistory } = await import("./commands/check-history.js");
      done(await runCheckHistory(file, flags));
    });
}

function addSettingFlags(command: Command): void {
  command.option("--config <file>", "configuration file, text format or JSON (SYNOD_CONFIG)");
  for (const setting of SETTINGS) {
    const option = new Option(`${flagOf(setting)} <value>`, setting.summary).hideHelp();
    if (setting.kind === "addresses") {
      option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
    }
    command.addOption(option);
  }
}

function addClientFlags(command: Command, formats: readonly string[], usual: string): Command {
  return command
    .option("--endpoints <addresses>", "servers, with commas between them (default localhost:8000; SYNOD_ENDPOINTS)")
    .addOption(new Option("-w, --write-out <format>", "output").choices(formats).default(usual))
    .option("--command-timeout <duration>", "time for the request, such as 5s or 500ms (default 5s)")
    .option("--dial-timeout <duration>", "time for a connection (default 2s)");
}
