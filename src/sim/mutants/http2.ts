/** Planted bugs in HTTP/2, HPACK and gRPC framing, which are below the simulator: the tests beside that code must catch them. */
import type { Hunt, Mutant } from "./mutant.js";

const testsOf = (...files: readonly string[]): Hunt => ({ by: "test", folder: "grpc", files });

const FRAMING: readonly Mutant[] = [
  {
    id: "h1",
    name: "A connection that begins as HTTP/2 begins is taken for it, whatever follows.",
    hunt: testsOf("pieces"),
    edits: [
      {
        file: "grpc/sniff.js",
        find: "const length = Math.min(bytes.length, PREFACE.length);",
        put: "const length = Math.min(bytes.length, MUTANT ? 3 : PREFACE.length);",
      },
      {
        file: "grpc/sniff.js",
        find: 'return length === PREFACE.length ? "http2" : "more";',
        put: 'return length === (MUTANT ? 3 : PREFACE.length) ? "http2" : "more";',
      },
    ],
  },
  {
    id: "h2",
    name: "The size of a frame that comes in pieces is not bounded.",
    hunt: testsOf("malformed", "fuzz"),
    edits: [
      {
        file: "grpc/frame-reader.js",
        find: "if (length > this.frameBytesMax) {\n                this.sink.onOversizedFrame(length);\n                return chunk.length;",
        put: "if (!MUTANT && length > this.frameBytesMax) {\n                this.sink.onOversizedFrame(length);\n                return chunk.length;",
      },
    ],
  },
  {
    id: "h3",
    name: "A frame whose header is cut by a chunk's end loses its last byte.",
    hunt: testsOf("fuzz"),
    edits: [
      {
        file: "grpc/frame-reader.js",
        find: "this.partial.expect(FRAME_HEADER_BYTES + length);",
        put: "this.partial.expect(FRAME_HEADER_BYTES + length - (MUTANT && length > 0 ? 1 : 0));",
      },
    ],
  },
  {
    id: "h4",
    name: "A header block may be interrupted by other frames.",
    hunt: testsOf("malformed"),
    edits: [
      {
        file: "grpc/session.js",
        find: "if (this.block !== undefined && (type !== FRAME.CONTINUATION || stream !== this.block.stream)) {",
        put: "if (!MUTANT && this.block !== undefined && (type !== FRAME.CONTINUATION || stream !== this.block.stream)) {",
      },
    ],
  },
  {
    id: "h5",
    name: "Padding is handed out as data.",
    hunt: testsOf("server-connection"),
    edits: [
      {
        file: "grpc/session.js",
        find: "payload.subarray(from, payload.length - padding)",
        put: "payload.subarray(from, payload.length - (MUTANT ? 0 : padding))",
      },
    ],
  },
  {
    id: "h6",
    name: "CONTINUATION frames without bytes may go on for ever.",
    hunt: testsOf("malformed"),
    edits: [
      {
        file: "grpc/session.js",
        find: "block.parts.length > CONTINUATIONS_MAX + 1",
        put: "(!MUTANT && block.parts.length > CONTINUATIONS_MAX + 1)",
      },
    ],
  },
  {
    id: "h7",
    name: "Calls may be opened and taken back without end.",
    hunt: testsOf("malformed"),
    edits: [
      {
        file: "grpc/server-connection.js",
        find: 'if (!this.session.resetGuard.spend(1)) {\n            this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many calls taken back");',
        put: 'if (!MUTANT && !this.session.resetGuard.spend(1)) {\n            this.session.close(ERROR.ENHANCE_YOUR_CALM, "too many calls taken back");',
      },
    ],
  },
  {
    id: "h8",
    name: "What waits to be written leaves in another order where large pieces are among it.",
    hunt: testsOf("pieces"),
    edits: [
      {
        file: "grpc/output.js",
        find: "const empty = this.size === 0;\n        this.seal();",
        put: "const empty = this.size === 0;\n        if (!MUTANT) {\n            this.seal();\n        }",
      },
    ],
  },
];

const HPACK: readonly Mutant[] = [
  {
    id: "h9",
    name: "The bytes that follow an integer's prefix are not added to it.",
    hunt: testsOf("hpack"),
    edits: [
      {
        file: "grpc/hpack-decoder.js",
        find: "for (let shift = 0; this.at < this.end && shift <= 28; shift += 7) {",
        put: "value = MUTANT ? 0 : value;\n        for (let shift = 0; this.at < this.end && shift <= 28; shift += 7) {",
      },
    ],
  },
  {
    id: "h10",
    name: "The dynamic table keeps one entry too many.",
    hunt: testsOf("hpack"),
    edits: [
      {
        file: "grpc/hpack-table.js",
        find: "this.evictTo(this.limit - entry.bytes);",
        put: "this.evictTo(MUTANT ? this.limit : this.limit - entry.bytes);",
      },
    ],
  },
  {
    id: "h11",
    name: "The rest of a header list that is too large is not decoded, so that the tables of both ends differ from then on.",
    hunt: testsOf("hpack"),
    edits: [
      {
        file: "grpc/hpack-decoder.js",
        find: "while (this.at < end) {",
        put: "while (this.at < end && !(MUTANT && this.listBytes > this.listBytesMax)) {",
      },
    ],
  },
  {
    id: "h12",
    name: "A Huffman code may end in any bits.",
    hunt: testsOf("hpack"),
    edits: [{ file: "grpc/huffman.js", find: "return padding[node] === 1 ?", put: "return MUTANT || padding[node] === 1 ?" }],
  },
  {
    id: "h13",
    name: "What a header block meant is remembered although the table has changed since.",
    hunt: testsOf("server-connection"),
    edits: [
      {
        file: "grpc/request-cache.js",
        find: "if (this.version !== this.decoder.table.version) {",
        put: "if (!MUTANT && this.version !== this.decoder.table.version) {",
      },
    ],
  },
];

const FLOW: readonly Mutant[] = [
  {
    id: "h14",
    name: "DATA leaves beyond the window of its stream.",
    hunt: testsOf("flow-control"),
    edits: [
      {
        file: "grpc/sender.js",
        find: "const count = Math.min(queue.bytes, queue.window, this.window, this.frameBytesMax);",
        put: "const count = Math.min(queue.bytes, MUTANT ? queue.bytes : queue.window, this.window, this.frameBytesMax);",
      },
    ],
  },
  {
    id: "h15",
    name: "What an answer takes is not counted against the connection's window.",
    hunt: testsOf("flow-control"),
    edits: [{ file: "grpc/unary-replies.js", find: "sender.window -= bytes;", put: "sender.window -= MUTANT ? 0 : bytes;" }],
  },
  {
    id: "h16",
    name: "A change of the initial window does not reach the streams under way.",
    hunt: testsOf("flow-control"),
    edits: [
      {
        file: "grpc/session.js",
        find: "return this.role.onStreamWindowChange(difference);",
        put: "return MUTANT ? undefined : this.role.onStreamWindowChange(difference);",
      },
    ],
  },
  {
    id: "h17",
    name: "A window may be raised beyond 2^31 - 1.",
    hunt: testsOf("malformed"),
    edits: [
      {
        file: "grpc/sender.js",
        find: "if (this.window + increment > WINDOW_MAX) {",
        put: "if (!MUTANT && this.window + increment > WINDOW_MAX) {",
      },
    ],
  },
  {
    id: "h18",
    name: "The window that a received stream used up is granted back in part.",
    hunt: testsOf("flow-control"),
    edits: [
      {
        file: "grpc/server-call.js",
        find: "this.host.session.writer.grant(this.stream, RECEIVE_STREAM_WINDOW - this.receiveWindow);",
        put: "this.host.session.writer.grant(this.stream, RECEIVE_STREAM_WINDOW - this.receiveWindow - (MUTANT ? 1 : 0));",
      },
    ],
  },
];

const CALLS: readonly Mutant[] = [
  {
    id: "h19",
    name: "The length of a request is not compared with its content-length.",
    hunt: testsOf("malformed"),
    edits: [
      {
        file: "grpc/server-call.js",
        find: "if (this.head.contentLength !== undefined && this.head.contentLength !== this.receivedBytes) {",
        put: "if (!MUTANT && this.head.contentLength !== undefined && this.head.contentLength !== this.receivedBytes) {",
      },
      {
        file: "grpc/server-connection.js",
        find: "(head.contentLength ?? length) !== length",
        put: "(!MUTANT && (head.contentLength ?? length) !== length)",
      },
    ],
  },
  {
    id: "h20",
    name: "A message whose length is cut by a frame's end is read with a wrong length.",
    hunt: testsOf("pieces"),
    edits: [
      {
        file: "grpc/message-reader.js",
        find: "((this.partial.at(2) << 16) | (this.partial.at(3) << 8) | this.partial.at(4));",
        put: "((this.partial.at(2) << 16) | (this.partial.at(MUTANT ? 4 : 3) << 8) | this.partial.at(4));",
      },
    ],
  },
  {
    id: "h21",
    name: "The goodbye names a call as not taken that is being served.",
    hunt: testsOf("server-connection"),
    edits: [
      {
        file: "grpc/server-connection.js",
        find: 'this.session.writer.goaway(ERROR.NO_ERROR, "draining", this.session.lastProcessed);',
        put: 'this.session.writer.goaway(ERROR.NO_ERROR, "draining", Math.max(0, this.session.lastProcessed - (MUTANT ? 2 : 0)));',
      },
    ],
  },
  {
    id: "h22",
    name: "A call that its client takes back goes on.",
    hunt: testsOf("server-connection"),
    edits: [
      {
        file: "grpc/server-connection.js",
        find: 'this.cancelCall(stream, call, "cancelled");',
        put: 'if (!MUTANT) {\n            this.cancelCall(stream, call, "cancelled");\n        }',
      },
    ],
  },
  {
    id: "h23",
    name: "Calls above the announced number are taken.",
    hunt: testsOf("server-connection"),
    edits: [
      {
        file: "grpc/server-connection.js",
        find: "this.openCalls < this.limits.concurrentStreamsMax",
        put: "(MUTANT || this.openCalls < this.limits.concurrentStreamsMax)",
      },
    ],
  },
  {
    id: "h24",
    name: "A deadline in minutes is taken for one in milliseconds.",
    hunt: testsOf("pieces"),
    edits: [
      {
        file: "grpc/timeout.js",
        find: "const unit = MILLISECONDS.get(value.slice(-1));",
        put: 'const unit = MILLISECONDS.get(MUTANT ? value.slice(-1).replace("M", "m") : value.slice(-1));',
      },
    ],
  },
];

export const HTTP2_MUTANTS: readonly Mutant[] = [
  ...FRAMING,
  ...HPACK,
  ...FLOW,
  ...CALLS,
  {
    id: "h25",
    name: "A message between servers of 128 bytes or more is announced with another length.",
    hunt: { by: "test", folder: "adapters", files: ["peer-frame"] },
    edits: [
      {
        file: "adapters/peer-frame.js",
        find: "header.push((rest % 0x80) | 0x80);",
        put: "header.push(MUTANT ? 0x80 : (rest % 0x80) | 0x80);",
      },
    ],
  },
];
