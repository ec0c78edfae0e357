/**
 * A server for tests of clients: KeyValueStore and Admin over @grpc/grpc-js, backed by a Map, whose answers a test may replace.
 * It must never be used outside tests: it agrees with nobody and keeps nothing.
 */
import { createServer, type Socket } from "node:net";
import { create, type DescMessage, type DescMethod, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import {
  Admin,
  type ChangeMembersRequest,
  ChangeMembersResponseSchema,
  type HandoverRequest,
  HandoverResponseSchema,
  type StatusResponse,
  StatusResponseSchema,
} from "../../gen/admin_pb.js";
import {
  type CloseSessionRequest,
  type DeleteRequest,
  EmptyMessageSchema,
  type GetRequest,
  GetResponseSchema,
  KeyValueStore,
  type PutRequest,
  type RegisterSessionResponse,
  RegisterSessionResponseSchema,
} from "../../gen/keyvaluestore_pb.js";
import { OUTCOME_TRAILER } from "../grpc-error.js";

/** How many writes of a session fakes let be outstanding: few, so that a test reaches it. */
export const FAKE_OUTSTANDING_MAX = 8;

/** A status that a fake answers with; `outcome` goes into the trailer. */
export class FakeFailure extends Error {
  readonly code: status;
  readonly outcome: string | undefined;

  constructor(code: status, message: string, outcome?: string) {
    super(message);
    this.code = code;
    this.outcome = outcome;
  }
}

/** What a test may replace. Each is called for every request; what it throws is the answer, and `await new Promise(() => {})` is silence. */
export type FakeBehaviour = {
  readonly beforeGet?: (key: string) => Promise<void> | void;
  readonly beforePut?: (key: string, value: string) => Promise<void> | void;
  readonly beforeDelete?: (key: string) => Promise<void> | void;
  /** Sessions that this and other fakes share. Left out: the fake knows none, as servers of long ago. */
  readonly sessions?: FakeSessions;
  /** After a put was applied, before its answer. */
  readonly afterPut?: (key: string, value: string) => Promise<void> | void;
  readonly beforeRegister?: () => Promise<void> | void;
  readonly status?: () => MessageInitShape<typeof StatusResponseSchema>;
  readonly changeMembers?: (request: ChangeMembersRequest) => MessageInitShape<typeof ChangeMembersResponseSchema>;
  readonly handover?: (request: HandoverRequest) => MessageInitShape<typeof HandoverResponseSchema>;
};

/** What fakes of one store have in common: its values, its sessions, and each write of a session, applied once. */
export class FakeSessions {
  readonly store = new Map<string, string>();
  readonly open = new Set<string>();
  /** The writes as they were applied: `session.seq put a=1`. */
  readonly applied: string[] = [];
  private readonly numbers = new Set<string>();
  /** The number below which each session's client has said that it asks for nothing any more. */
  private readonly firstUnacked = new Map<string, bigint>();

  register(): Uint8Array {
    const session = Uint8Array.of(this.open.size + 1, this.applied.length);
    this.open.add(session.join());
    return session;
  }

  /** Whether the write is to be executed; throws where its session is gone, or its client has given the number up. */
  admit({ session, seq, firstUnacked }: Pick<PutRequest, "session" | "seq" | "firstUnacked">, what: string): boolean {
    if (session.length === 0) {
      return true;
    }
    if (!this.open.has(session.join())) {
      throw new FakeFailure(status.FAILED_PRECONDITION, "SESSION_EXPIRED: gone. Nothing was written.", "not-applied");
    }
    const bound = this.firstUnacked.get(session.join()) ?? 0n;
    if (seq < bound) {
      throw new FakeFailure(status.ABORTED, `STALE_SEQ: ${seq} is below ${bound}.`, "unknown");
    }
    this.firstUnacked.set(session.join(), firstUnacked > bound ? firstUnacked : bound);
    const number = `${session.join()}/${seq}`;
    if (this.numbers.has(number)) {
      return false;
    }
    this.numbers.add(number);
    this.applied.push(`${seq} ${what}`);
    return true;
  }
}

export type FakeServer = {
  /** `127.0.0.1:port`. */
  readonly endpoint: string;
  readonly port: number;
  readonly store: Map<string, string>;
  /** The calls in order of arrival, such as `put a=1`. */
  readonly calls: string[];
  /** Cuts every connection at once, as a killed process does. */
  kill(): void;
};

/** Starts a fake on a free port, or on `port`. Call `kill` when done. */
export async function startFakeServer(behaviour: FakeBehaviour = {}, port = 0): Promise<FakeServer> {
  const { sessions } = behaviour;
  const store = sessions?.store ?? new Map<string, string>();
  const calls: string[] = [];
  const server = new Server();
  const methods = {
    getValue: handler(async (request: GetRequest) => {
      calls.push(`get ${request.key}`);
      await behaviour.beforeGet?.(request.key);
      const value = store.get(request.key);
      if (value === undefined) {
        throw new FakeFailure(status.NOT_FOUND, "Key not found.");
      }
      return create(GetResponseSchema, { value });
    }),
    putPair: handler(async (request: PutRequest) => {
      calls.push(`put ${request.key}=${request.value}`);
      await behaviour.beforePut?.(request.key, request.value);
      if (sessions?.admit(request, `put ${request.key}=${request.value}`) !== false) {
        store.set(request.key, request.value);
      }
      await behaviour.afterPut?.(request.key, request.value);
      return create(EmptyMessageSchema);
    }),
    deletePair: handler(async (request: DeleteRequest) => {
      calls.push(`delete ${request.key}`);
      await behaviour.beforeDelete?.(request.key);
      store.delete(request.key);
      return create(EmptyMessageSchema);
    }),
  };
  if (sessions !== undefined) {
    server.addService(definition(KeyValueStore.method), {
      ...methods,
      registerSession: handler(async (): Promise<RegisterSessionResponse> => {
        calls.push("register");
        await behaviour.beforeRegister?.();
        return create(RegisterSessionResponseSchema, { session: sessions.register(), outstandingMax: FAKE_OUTSTANDING_MAX });
      }),
      closeSession: handler(async ({ session }: CloseSessionRequest) => {
        calls.push("close");
        sessions.open.delete(session.join());
        return create(EmptyMessageSchema);
      }),
    });
  } else {
    server.addService(definition(KeyValueStore.method), methods);
  }
  server.addService(definition(Admin.method), {
    status: handler(async (): Promise<StatusResponse> => create(StatusResponseSchema, behaviour.status?.() ?? {})),
    changeMembers: handler(async (request: ChangeMembersRequest) =>
      create(ChangeMembersResponseSchema, behaviour.changeMembers?.(request) ?? {}),
    ),
    handover: handler(async (request: HandoverRequest) => create(HandoverResponseSchema, behaviour.handover?.(request) ?? {})),
  });
  // Sockets of our own, so that `kill` can cut them as the end of a process does: forceShutdown would say goodbye first.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    injector.injectConnection(socket);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const address = listener.address();
  const bound = typeof address === "object" && address !== null ? address.port : 0;
  const kill = (): void => {
    listener.close();
    for (const socket of sockets) {
      socket.destroy();
    }
    server.forceShutdown();
  };
  return { endpoint: `127.0.0.1:${bound}`, port: bound, store, calls, kill };
}

/** A port on which nothing listens: bound once and closed again. */
export async function freePort(): Promise<number> {
  const server = await startFakeServer();
  server.kill();
  return server.port;
}

type Methods = Readonly<Record<string, DescMethod>>;

function definition(methods: Methods) {
  const entries = Object.entries(methods).map(([name, method]) => [
    name,
    {
      path: `/${method.parent.typeName}/${method.name}`,
      requestStream: false,
      responseStream: false,
      requestSerialize: serializer(method.input),
      requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
      responseSerialize: serializer(method.output),
      responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
    },
  ]);
  return Object.fromEntries(entries);
}

function serializer(schema: DescMessage) {
  return (message: Message): Buffer => Buffer.from(toBinary(schema, message));
}

function handler<Request, Response>(answer: (request: Request) => Promise<Response>) {
  return (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void => {
    answer(call.request).then(
      (response) => reply(null, response),
      (failure: unknown) => {
        const metadata = new Metadata();
        if (failure instanceof FakeFailure && failure.outcome !== undefined) {
          metadata.set(OUTCOME_TRAILER, failure.outcome);
        }
        const code = failure instanceof FakeFailure ? failure.code : status.INTERNAL;
        reply({ code, details: failure instanceof Error ? failure.message : String(failure), metadata });
      },
    );
  };
}
