/** Calls by path and bytes through @grpc/grpc-js: what no typed client would send, and the bare status that comes back. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import {
  ElectCoordinatorRequestSchema,
  EmptyMessageSchema,
  GetCoordinatorResponseSchema,
  GetRequestSchema,
  GetResponseSchema,
  PutRequestSchema,
} from "../../src/gen/keyvaluestore_pb.js";

const PATIENCE_MS = 10_000;

/** `code` is the name of the gRPC status. */
export type CallResult = { readonly code: string; readonly details: string; readonly outcome: string; readonly bytes: Uint8Array };

/** A channel to one server. */
export class RawChannel {
  private readonly client: Client;

  constructor(address: string) {
    this.client = new Client(address, credentials.createInsecure(), {
      "grpc.enable_retries": 0,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": 64 * 1024 * 1024,
    });
  }

  /** One unary call; never rejects. */
  call(path: string, message: Uint8Array, timeoutMs: number = PATIENCE_MS): Promise<CallResult> {
    return new Promise((resolve) => {
      const done = (failure: ServiceError | null, bytes?: Buffer): void => {
        const outcome = String(failure?.metadata?.get("synod-outcome")[0] ?? "");
        resolve(
          failure === null
            ? { code: "OK", details: "", outcome, bytes: bytes ?? new Uint8Array() }
            : { code: status[failure.code] ?? String(failure.code), details: failure.details, outcome, bytes: new Uint8Array() },
        );
      };
      const same = (bytes: Buffer): Buffer => bytes;
      this.client.makeUnaryRequest(path, same, same, Buffer.from(message), new Metadata(), { deadline: Date.now() + timeoutMs }, done);
    });
  }

  put(key: string, value: string, timeoutMs?: number): Promise<CallResult> {
    return this.call(PUT, putMessage(key, value), timeoutMs);
  }

  get(key: string, timeoutMs?: number): Promise<CallResult> {
    return this.call(GET, getMessage(key), timeoutMs);
  }

  /** `MultiPaxos/GetCoordinator`: the address, or the failure. */
  async coordinator(): Promise<string> {
    const answer = await this.call("/keyvaluestore.MultiPaxos/GetCoordinator", toBinary(EmptyMessageSchema, create(EmptyMessageSchema)));
    return answer.code === "OK" ? fromBinary(GetCoordinatorResponseSchema, answer.bytes).coordinator : `${answer.code} ${answer.details}`;
  }

  /** `MultiPaxos/ElectCoordinator`. */
  elect(coordinator: string): Promise<CallResult> {
    const message = toBinary(ElectCoordinatorRequestSchema, create(ElectCoordinatorRequestSchema, { coordinator }));
    return this.call("/keyvaluestore.MultiPaxos/ElectCoordinator", message);
  }

  close(): void {
    this.client.close();
  }
}

export const PUT = "/keyvaluestore.KeyValueStore/PutPair";
export const GET = "/keyvaluestore.KeyValueStore/GetValue";
export const DELETE = "/keyvaluestore.KeyValueStore/DeletePair";
export const STATUS = "/synod.Admin/Status";

export function putMessage(key: string, value: string): Uint8Array {
  return toBinary(PutRequestSchema, create(PutRequestSchema, { key, value }));
}

/** Also a DeleteRequest: both hold the key in field 1. */
export function getMessage(key: string): Uint8Array {
  return toBinary(GetRequestSchema, create(GetRequestSchema, { key }));
}

/** The value in a GetResponse. */
export function replyValue(bytes: Uint8Array): string {
  return fromBinary(GetResponseSchema, bytes).value;
}
