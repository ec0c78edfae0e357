/**
 * What the payload of a batch or a Forward asks of the store, in a few words: the protocol carries these bytes unread, a person
 * wants to see `put k = "a"`. Never throws on bytes that it cannot read.
 */
import { unreachable } from "../../base/assert.js";
import { MalformedBytes, toHex } from "../../base/bytes.js";
import { utf8Decode } from "../../base/utf8.js";
import { BatchCursor } from "../../kv/batch.js";
import { type Command, decodeCommand } from "../../kv/command.js";
import { type Compare, NO_SESSION, type Operation } from "../../kv/model.js";

/** Commands of one payload that are told; the others are counted. */
const COMMANDS_MAX = 4;
/** Characters of a key or value that are shown. */
const TEXT_MAX = 24;
const UNPRINTABLE = /[\p{C}"]/u;

/** `put k = "a" (session 7, request 2)`, several with semicolons; null where the bytes are no commands. */
export function describePayload(payload: Uint8Array): string | null {
  try {
    return readPayload(payload);
  } catch (error) {
    if (error instanceof MalformedBytes) {
      return null;
    }
    throw error;
  }
}

function readPayload(payload: Uint8Array): string {
  const words: string[] = [];
  let count = 0;
  const cursor = new BatchCursor(payload);
  while (cursor.nextGroup()) {
    while (cursor.nextCommand()) {
      count++;
      if (count <= COMMANDS_MAX) {
        const command = decodeCommand(payload.subarray(cursor.commandFrom, cursor.commandEnd));
        const session = cursor.session === NO_SESSION ? "" : ` (session ${cursor.session}, request ${cursor.seq})`;
        words.push(describeCommand(command) + session);
      }
    }
  }
  const more = count > COMMANDS_MAX ? `; and ${count - COMMANDS_MAX} more` : "";
  return words.join("; ") + more;
}

function describeCommand(command: Command): string {
  switch (command.kind) {
    case "put":
    case "deleteRange":
    case "txn":
      return describeOperation(command);
    case "compact":
      return `compact up to revision ${command.revision}`;
    case "registerSession":
      return "register a session";
    case "expireSessions":
      return `expire sessions unused since slot ${command.usedBelowSlot}`;
    case "closeSession":
      return `close session ${command.session}`;
    case "setQuota":
      return `set the quota to ${command.bytes} bytes`;
    case "skipRevisions":
      return `move the revision forward by ${command.by}`;
    default:
      return unreachable(command);
  }
}

function describeOperation(operation: Operation): string {
  switch (operation.kind) {
    case "put":
      return `put ${showBytes(operation.key)} = ${quote(operation.value)}`;
    case "deleteRange":
      return `delete ${showRange(operation.key, operation.rangeEnd)}`;
    case "range":
      return `get ${showRange(operation.key, operation.rangeEnd)}`;
    case "txn": {
      const condition = operation.compares.map(describeCompare).join(" and ");
      const otherwise = operation.failure.length === 0 ? "" : `, else ${describeNested(operation.failure)}`;
      return `if ${condition === "" ? "true" : condition} then ${describeNested(operation.success)}${otherwise}`;
    }
    default:
      return unreachable(operation);
  }
}

/** Transactions inside a transaction are only named, so that no nesting exhausts the stack. */
function describeNested(operations: readonly Operation[]): string {
  const words = operations.map((one) => (one.kind === "txn" ? "another transaction" : describeOperation(one)));
  return words.length === 0 ? "nothing" : words.join(" and ");
}

const SIGNS: Readonly<Record<Compare["result"], string>> = { equal: "=", greater: ">", less: "<", "not-equal": "!=" };

function describeCompare(compare: Compare): string {
  const key = showRange(compare.key, compare.rangeEnd);
  const sign = SIGNS[compare.result];
  return compare.target === "value" ? `${key} ${sign} ${quote(compare.operand)}` : `${compare.target} of ${key} ${sign} ${compare.operand}`;
}

function showRange(key: Uint8Array, end: Uint8Array | undefined): string {
  return end === undefined ? showBytes(key) : `${showBytes(key)} to ${showBytes(end)}`;
}

function showBytes(bytes: Uint8Array): string {
  const text = utf8Decode(bytes);
  return text === undefined || text === "" || UNPRINTABLE.test(text) ? `#${toHex(bytes.subarray(0, TEXT_MAX / 2))}` : shorten(text);
}

function quote(bytes: Uint8Array): string {
  const text = utf8Decode(bytes);
  return text === undefined || UNPRINTABLE.test(text) ? showBytes(bytes) : `"${shorten(text)}"`;
}

/** The beginning of `text` where it is long, with its length. */
export function shorten(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}...(${text.length})`;
}
