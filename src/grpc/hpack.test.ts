/**
 * HPACK against the examples of RFC 7541, appendix C (blocks in, fields and table size out), broken blocks as a table, and encoder against
 * decoder with random fields and table sizes: both must keep the same table.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HpackDecoder, HpackError } from "./hpack-decoder.js";
import { HpackEncoder, RepeatedBlock } from "./hpack-encoder.js";
import { huffmanDecode, huffmanEncode, huffmanLength } from "./huffman.js";

const FIRST = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"];
const SECOND = [...FIRST, "cache-control", "no-cache"];
const THIRD = [":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com", "custom-key", "custom-value"];
const DATE_1 = "Mon, 21 Oct 2013 20:13:21 GMT";
const DATE_2 = "Mon, 21 Oct 2013 20:13:22 GMT";
const COOKIE = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const LOCATION = "https://www.example.com";
const RESPONSES = [
  [":status", "302", "cache-control", "private", "date", DATE_1, "location", LOCATION],
  [":status", "307", "cache-control", "private", "date", DATE_1, "location", LOCATION],
  [":status", "200", "cache-control", "private", "date", DATE_2, "location", LOCATION, "content-encoding", "gzip", "set-cookie", COOKIE],
];

/** Blocks in hex, the fields of each and the table's size after it. `3fe101` in front sets the size of 256 that C.5 and C.6 use. */
const DIALOGUES: ReadonlyArray<{ readonly name: string; readonly steps: ReadonlyArray<readonly [string, readonly string[], number]> }> = [
  { name: "C.2.1", steps: [["400a637573746f6d2d6b65790d637573746f6d2d686561646572", ["custom-key", "custom-header"], 55]] },
  { name: "C.2.2", steps: [["040c2f73616d706c652f70617468", [":path", "/sample/path"], 0]] },
  { name: "C.2.3", steps: [["100870617373776f726406736563726574", ["password", "secret"], 0]] },
  { name: "C.2.4", steps: [["82", [":method", "GET"], 0]] },
  {
    name: "C.3",
    steps: [
      ["828684410f7777772e6578616d706c652e636f6d", FIRST, 57],
      ["828684be58086e6f2d6361636865", SECOND, 110],
      ["828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", THIRD, 164],
    ],
  },
  {
    name: "C.4",
    steps: [
      ["828684418cf1e3c2e5f23a6ba0ab90f4ff", FIRST, 57],
      ["828684be5886a8eb10649cbf", SECOND, 110],
      ["828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", THIRD, 164],
    ],
  },
  {
    name: "C.5",
    steps: [
      [
        "3fe1014803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        RESPONSES[0] as string[],
        222,
      ],
      ["4803333037c1c0bf", RESPONSES[1] as string[], 222],
      [
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
        RESPONSES[2] as string[],
        215,
      ],
    ],
  },
  {
    name: "C.6",
    steps: [
      [
        "3fe101488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        RESPONSES[0] as string[],
        222,
      ],
      ["4883640effc1c0bf", RESPONSES[1] as string[], 222],
      [
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        RESPONSES[2] as string[],
        215,
      ],
    ],
  },
];

for (const { name, steps } of DIALOGUES) {
  test(`RFC 7541 ${name}`, () => {
    const decoder = new HpackDecoder(1 << 16);
    for (const [block, fields, tableBytes] of steps) {
      assert.deepEqual(decoder.decode(Buffer.from(block, "hex")), fields);
      assert.equal(decoder.table.bytes, tableBytes);
    }
  });
}

test("RFC 7541 C.1.2: an integer of several bytes", () => {
  const decoder = new HpackDecoder(1 << 16);
  decoder.decode(Buffer.from("3f9a0a", "hex"));
  assert.equal(decoder.table.bytesMax, 1337);
});

const BROKEN: ReadonlyArray<readonly [what: string, block: string]> = [
  ["index zero", "80"],
  ["index beyond both tables", "be"],
  ["literal with an index beyond both tables", "7f0000"],
  ["integer cut short", "ff"],
  ["integer above every limit", "ffffffffff7f"],
  ["integer that never ends", "ff80808080808080"],
  ["name missing", "40"],
  ["name cut short", "400a6162"],
  ["value missing", "400161"],
  ["value cut short", "4001610a62"],
  ["size update above the limit", "3fe21f"],
  ["size update after a field", "8220"],
  ["Huffman: EOS inside", "408431ffffffff"],
  ["Huffman: padding of zeros", "40811800"],
  ["Huffman: padding of eight ones", "4082f1ff0161"],
];
for (const [what, block] of BROKEN) {
  test(`a broken block is refused: ${what}`, () => {
    assert.throws(() => new HpackDecoder(1 << 16).decode(Buffer.from(block, "hex")), HpackError);
  });
}

test("forbidden names and values appear under an empty name, also when indexed later", () => {
  const decoder = new HpackDecoder(1 << 16);
  for (const [name, value] of [
    ["Upper", "x"],
    ["a b", "x"],
    ["", "x"],
    ["good", "line\nbreak"],
    ["good", "nul\0"],
  ] as const) {
    const literal = Buffer.concat([Buffer.from([0x40, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
    assert.deepEqual(decoder.decode(literal), ["", ""]);
    assert.deepEqual(decoder.decode(Buffer.from("be", "hex")), ["", ""]);
  }
});

test("a list above the limit is not delivered, but keeps the table right", () => {
  const decoder = new HpackDecoder(100);
  const encoder = new HpackEncoder();
  const large = ["user-agent", "x".repeat(80)];
  assert.equal(decoder.decode(Buffer.from(encoder.encode(large))), undefined);
  assert.deepEqual(decoder.decode(Buffer.from(encoder.encode(["te", "trailers"]))), ["te", "trailers"]);
  assert.equal(decoder.table.length, 2);
  const first = Buffer.from(encoder.encode(["user-agent", "y".repeat(80), "grpc-accept-encoding", "z"]));
  assert.equal(decoder.decode(first), undefined);
  assert.deepEqual(decoder.decode(Buffer.from(encoder.encode(["grpc-accept-encoding", "z"]))), ["grpc-accept-encoding", "z"]);
});

test("Huffman: every text of bytes survives", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = Buffer.from(bytes).toString("latin1");
      const coded = new Uint8Array(huffmanLength(text));
      assert.equal(huffmanEncode(text, coded, 0), coded.length);
      assert.equal(huffmanDecode(coded, 0, coded.length), text);
    }),
  );
});

const name = fc.constantFrom(
  ":path",
  ":authority",
  "te",
  "user-agent",
  "content-type",
  "x-some",
  "authorization",
  "grpc-status",
  "grpc-timeout",
);
const value = fc.oneof(
  fc.constantFrom("", "a", "trailers"),
  fc.string({ unit: "grapheme-ascii", maxLength: 60 }),
  fc.constant("v".repeat(500)),
);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.array(fc.tuple(name, value), { maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 64, 200, 1000, 4096, 65_536) },
);

test("encoder and decoder keep the same table through evictions and changes of size", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(1 << 20);
      for (const each of steps) {
        if (typeof each === "number") {
          encoder.setTableBytesMax(each);
        } else {
          const fields = each.flat();
          assert.deepEqual(decoder.decode(Buffer.from(encoder.encode(fields))), fields);
          assert.equal(decoder.table.bytes, encoder.table.bytes);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("a repeated block shrinks to its indices, and survives what else is encoded between", () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder(1 << 16);
  const repeated = new RepeatedBlock(["content-type", "application/grpc"]);
  const lengths: number[] = [];
  for (const between of [undefined, undefined, ["te", "trailers"], ["te", "trailers"], ["x", "y"]]) {
    if (between !== undefined) {
      decoder.decode(Buffer.from(encoder.encode(between)));
    }
    const block = Buffer.from(repeated.encodeBy(encoder));
    lengths.push(block.length);
    assert.deepEqual(decoder.decode(block), ["content-type", "application/grpc"]);
  }
  assert.deepEqual(lengths.slice(1), [1, 1, 1, 1]);
});
