/**
 * One server of this process put together: sockets, peers, services and logs around the server layer, and how all of it ends.
 * This is where adapters are picked; nothing is decided here that a test of the layers below could not see.
 */
import { GrpcPeerNetwork } from "../adapters/grpc-peer-network.js";
import type { NodeClock } from "../adapters/node-clock.js";
import { NodeRandom } from "../adapters/node-random.js";
import { PEER_MESSAGE_BYTES_MAX, splitAddress } from "../adapters/peer-link.js";
import { clientServices, paxosServices } from "../api/services.js";
import type { UnaryReply } from "../grpc/channel.js";
import { connect } from "../grpc/client.js";
import type { Metadata } from "../grpc/metadata.js";
import { GrpcServer } from "../grpc/server.js";
import type { KvStore, Restore } from "../kv/kv-store.js";
import { Store } from "../kv/store.js";
import type { Address } from "../paxos/ids.js";
import type { Durable } from "../paxos/record.js";
import type { RunningServer, ServerConfig } from "../server/config.js";
import { EXIT_STATUS } from "../server/exit-status.js";
import { loadStore } from "../server/load-store.js";
import type { Logger } from "../server/logger.js";
import { Server } from "../server/server.js";
import type { ServerStorage } from "../server/storage-port.js";

/** How long one server waits for another's answer to a unary call. */
const PEER_CALL_MS = 5000;

export type Parts = {
  readonly config: ServerConfig;
  readonly log: Logger;
  readonly clock: NodeClock;
  readonly storage: ServerStorage;
  readonly durable: Durable;
  /** The server exists: what fails from now on ends it. */
  readonly onServer: (server: Server) => void;
};

/** Starts the server and resolves once both ports listen. Rejects with the system's error where one cannot; the storage is closed then. */
export async function assemble(parts: Parts): Promise<RunningServer> {
  const { config, log, clock, storage, durable } = parts;
  let ended: (status: number) => void = () => {};
  const closed = new Promise<number>((resolve) => {
    ended = resolve;
  });
  const restore = (): Restore => Store.restore();
  const store = await stateOf(storage, durable, restore);
  const network = new GrpcPeerNetwork({ connect, clock, suspectMs: config.suspectMs });
  const server = new Server({
    config,
    clock,
    random: new NodeRandom(),
    network,
    storage,
    log,
    trace: null,
    durable,
    store,
    restore,
    onLeaving: () => void ports.client.drain(config.drainMs),
    onStuck: endByForce,
    onFatal: (status) => shut(status),
  });
  const ports = portsOf(parts, server, network);
  const onBug = (error: unknown): void => server.fatal(error);
  const shut = (status: number): void => {
    ports.client.close();
    ports.paxos.close();
    process.removeListener("uncaughtException", onBug);
    ended(status);
  };
  try {
    await ports.client.listen(config.clientListen.host, config.clientListen.port);
    // Last, and the server starts in the same turn of the event loop: no Hello finds nobody who hears it.
    await ports.paxos.listen(config.paxosListen.host, config.paxosListen.port);
  } catch (error) {
    shut(EXIT_STATUS.startup);
    await server.end("This server could not start.");
    throw error;
  }
  process.on("uncaughtException", onBug);
  parts.onServer(server);
  await server.start();
  const { clientAddress, paxosAddress } = config;
  const where = { client: clientAddress, paxos: paxosAddress };
  log.log("info", "listening", `Clients connect to ${clientAddress}, servers to ${paxosAddress}.`, where);
  const stop = once(async () => {
    log.log("info", "stopping", "The server hands over, ends its requests, and stops.");
    const drained = ports.client.drain(config.drainMs);
    await server.stop();
    await drained;
    log.log("info", "stopped", "The server has stopped; its data is kept.");
    shut(EXIT_STATUS.ok);
  });
  return { stop, closed };
}

type Ports = { readonly client: GrpcServer; readonly paxos: GrpcServer };

function portsOf({ config }: Parts, server: Server, network: GrpcPeerNetwork): Ports {
  const services = { server, config, memoryBytes: () => process.memoryUsage.rss(), call: callPeer };
  const peers = { exchange: network.onExchange, messageBytesMax: PEER_MESSAGE_BYTES_MAX };
  return { client: new GrpcServer(clientServices(services)), paxos: new GrpcServer(paxosServices(services, peers)) };
}

/** The state machine as the newest snapshot left it; what the log has beyond is applied by the replica. */
async function stateOf(storage: ServerStorage, { snapshot }: Durable, restore: () => Restore): Promise<KvStore> {
  if (snapshot === null) {
    return Store.empty();
  }
  try {
    return await loadStore(storage.snapshots, snapshot, restore());
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** One unary call over a connection of its own: for what people ask by hand, never for the hot path. */
async function callPeer(peer: Address, path: string, message: Uint8Array, metadata: Metadata): Promise<UnaryReply> {
  const nothing = (): void => {};
  const channel = connect(splitAddress(peer), { onConnected: nothing, onRefused: nothing, onClosed: nothing });
  const reply = await channel.unary(path, message, { timeoutMs: PEER_CALL_MS, metadata });
  channel.close();
  return reply;
}

/** An exit waits for the threads that Node gave to the disk; behind one that hangs there it would wait as long. */
function endByForce(): void {
  process.kill(process.pid, "SIGKILL");
}

/** `work`, begun by the first call; every call gets its end. */
function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => {
    running ??= work();
    return running;
  };
}
