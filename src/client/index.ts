/** The npm entry `synod/client`: what programs may rely on. It must export nothing that is not meant to stay. */

export type { BackupEnd, BackupHead, BackupPart, Configuration, Member, StatusResponse, Voter } from "../gen/admin_pb.js";
export { type Address, type AddressOptions, type AddressProblem, isLoopback, isWildcard, joinAddress, parseAddress } from "./address.js";
export {
  DEFAULT_DIAL_TIMEOUT_MS,
  DEFAULT_TIMEOUT_MS,
  END_MS,
  type MemberChange,
  type RequestOptions,
  type Swap,
  SynodClient,
  type SynodClientOptions,
} from "./client.js";
export { type Outcome, StoreError, type StoreErrorCode } from "./error.js";
