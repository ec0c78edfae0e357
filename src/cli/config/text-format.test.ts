/**
 * Tests the text format's parser: a table of inputs with what they mean, one of at least 40 wrong inputs with place, field and
 * sentence of each, and round trips of quoted text.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  parseTextFormat,
  quoteText,
  TEXT_DEPTH_MAX,
  TEXT_LENGTH_MAX,
  type TextField,
  TextFormatError,
  type TextValue,
} from "./text-format.js";

/** `name=value` for each field, messages in braces, lists in brackets: short enough for a table. */
function show(fields: readonly TextField[]): string {
  return fields
    .map((field) => `${field.name}=${field.isList ? `[${field.values.map(showValue).join(" ")}]` : field.values.map(showValue).join(" ")}`)
    .join(" ");
}

function showValue(value: TextValue): string {
  switch (value.kind) {
    case "string":
      return JSON.stringify(value.text);
    case "number":
      return `${value.value}`;
    case "word":
      return value.text;
    case "message":
      return `{${show(value.fields)}}`;
  }
}

const GOOD: ReadonlyArray<readonly [text: string, meaning: string]> = [
  ["", ""],
  ["  \n\t # only a comment", ""],
  ["a:1", "a=1"],
  ["a : 1", "a=1"],
  ["a:'x' b:\"y\"", 'a="x" b="y"'],
  ["a:'x'b:'y'", 'a="x" b="y"'],
  ["a:1, b:2; c:3\nd:4,", "a=1 b=2 c=3 d=4"],
  ["a:1 # one\n# two\nb:2", "a=1 b=2"],
  ["a: 'x' 'y' \"z\"", 'a="xyz"'],
  ["a: 'x' # and\n 'y'", 'a="xy"'],
  ["a: ['x', 'y']", 'a=["x" "y"]'],
  ["a: []", "a=[]"],
  ["a: [ 1 , 2 ] , b: 3", "a=[1 2] b=3"],
  ["a: 'x' a: 'y'", 'a="x" a="y"'],
  ["a:0 b:-1 c:- 2", "a=0 b=-1 c=-2"],
  ["a:0x1F b:017 c:-0x10", "a=31 b=15 c=-16"],
  ["a:0.3 b:.5 c:1. d:1e3 e:1.5E-2 f:2f g:1.5F", "a=0.3 b=0.5 c=1 d=1000 e=0.015 f=2 g=1.5"],
  ["a:inf b:-Infinity c:nan", "a=Infinity b=-Infinity c=NaN"],
  ["a:true b:INFO_2", "a=true b=INFO_2"],
  ["m { a:1 } n: < b:'x' >", 'm={a=1} n={b="x"}'],
  ["m { n { o: 1 } p: 2 };", "m={n={o=1} p=2}"],
  ["m [ {a:1}, <a:2> ]", "m=[{a=1} {a=2}]"],
  ["m: [ {a:1} ] m {}", "m=[{a=1}] m={}"],
  ["[my.ext] : 1 [type.googleapis.com/a.B] { c: 1 }", "[my.ext]=1 [type.googleapis.com/a.B]={c=1}"],
  ["a:'\\n\\t\\\\\\'\\\"\\?\\a\\b\\f\\v\\r'", 'a="\\n\\t\\\\\'\\"?\\u0007\\b\\f\\u000b\\r"'],
  ["a:'\\101\\x42\\x4a'", 'a="ABJ"'],
  ["a:'\\303\\244 \\xc3\\xa4 \\u00e4 \\U000000e4 ä'", 'a="ä ä ä ä ä"'],
  ["a:'\\ud83d\\ude00 \\U0001F600 😀'", 'a="😀 😀 😀"'],
  ["a:'\\0'", 'a="\\u0000"'],
  ['a:"it\'s" b:\'say "hi"\'', 'a="it\'s" b="say \\"hi\\""'],
  [
    "my_addr:'0.0.0.0:8000' fail_rate:0.3 replica:'0.0.0.0:9000' replica:'0.0.0.0:9001'",
    'my_addr="0.0.0.0:8000" fail_rate=0.3 replica="0.0.0.0:9000" replica="0.0.0.0:9001"',
  ],
];

for (const [text, meaning] of GOOD) {
  test(`text format ${JSON.stringify(text)}`, () => {
    assert.equal(show(parseTextFormat(text)), meaning);
  });
}

/** `line:column field message`; the field is - where none was being read. */
const BAD: ReadonlyArray<readonly [text: string, error: string]> = [
  ["a", "1:2 a expected ':' after 'a', not the end"],
  ["a 1", "1:3 a expected ':' after 'a', not '1'"],
  ["a 'x'", "1:3 a expected ':' after 'a', not '''"],
  ["a:", "1:3 a expected a value after 'a', not the end"],
  ["a: ,", "1:4 a expected a value after 'a', not ','"],
  ["a: b: 1", "1:4 a 'b:' is neither a number nor a word; text goes in quotes: a:'b:'"],
  ["a:: 1", "1:3 a ':' is neither a number nor a word; text goes in quotes: a:':'"],
  [": 1", "1:1 - expected a field name, not ':'"],
  ["'a': 1", "1:1 - expected a field name, not '''"],
  ["1: 2", "1:1 - expected a field name, not '1'"],
  ["= 2", "1:1 - expected a field name, not '='"],
  ["my-addr:'x'", "1:1 - 'my-addr' is not a field name: letters, digits and _ only"],
  ["a.b:1", "1:1 - 'a.b' is not a field name: letters, digits and _ only"],
  ["a:1,,b:2", "1:5 - expected a field name, not ','"],
  [",a:1", "1:1 - expected a field name, not ','"],
  ["a:1 }", "1:5 - expected a field name, not '}'"],
  ["a:0.0.0.0:8000", "1:3 a '0.0.0.0:8000' is neither a number nor a word; text goes in quotes: a:'0.0.0.0:8000'"],
  ["a:localhost:8000", "1:3 a 'localhost:8000' is neither a number nor a word; text goes in quotes: a:'localhost:8000'"],
  ["a:./data", "1:3 a './data' is neither a number nor a word; text goes in quotes: a:'./data'"],
  ["a:100ms", "1:3 a '100ms' is neither a number nor a word; text goes in quotes: a:'100ms'"],
  ["a:09", "1:3 a '09' is neither a number nor a word; text goes in quotes: a:'09'"],
  ["a:0x", "1:3 a '0x' is neither a number nor a word; text goes in quotes: a:'0x'"],
  ["a:1.2.3", "1:3 a '1.2.3' is neither a number nor a word; text goes in quotes: a:'1.2.3'"],
  ["a:1e", "1:3 a '1e' is neither a number nor a word; text goes in quotes: a:'1e'"],
  ["a:--1", "1:3 a '--1' is neither a number nor a word; text goes in quotes: a:'--1'"],
  ["a:+1", "1:3 a '+1' is neither a number nor a word; text goes in quotes: a:'+1'"],
  ["a:-", "1:4 a expected a value after 'a', not the end"],
  ["a:-true", "1:3 a '-true' is neither a number nor a word; text goes in quotes: a:'-true'"],
  ["a:-'x'", "1:4 a expected a value after 'a', not '''"],
  ["a:'x", "1:3 a the text that begins with ' does not end on its line"],
  ["a:\"x'", '1:3 a the text that begins with " does not end on its line'],
  ["a:'x\ny'", "1:3 a the text that begins with ' does not end on its line"],
  ["a:'x\\", "1:5 a '\\' is not an escape"],
  ["a:'\\q'", "1:4 a '\\q' is not an escape"],
  ["a:'\\x'", "1:4 a '\\x' is not an escape"],
  ["a:'\\400'", "1:4 a '\\400' is more than a byte"],
  ["a:'\\u12'", "1:4 a '\\u' is not an escape"],
  ["a:'\\U00110000'", "1:4 a '\\U00110000' is not a character"],
  ["a:'\\ud800'", "1:4 a '\\ud800' is not a character"],
  ["a:'\\xff'", "1:3 a the text's escapes do not make valid UTF-8"],
  ["a:'ok' '\\303'", "1:3 a the text's escapes do not make valid UTF-8"],
  ["a:[1 2]", "1:6 a expected ',' or ']' in the list, not '2'"],
  ["a:[1,]", "1:6 a expected a value after ',' in the list, not ']'"],
  ["a:[1", "1:3 a the '[' is never closed"],
  ["a:[1,", "1:6 a expected a value after 'a', not the end"],
  ["a:[,1]", "1:4 a expected a value after 'a', not ','"],
  ["a ['x']", "1:3 a expected ':' before a list of plain values"],
  ["m { a:1", "1:3 a the '{' is never closed"],
  ["m { a:1 >", "1:9 - expected a field name, not '>'"],
  ["m < a:1 }", "1:9 - expected a field name, not '}'"],
  ["[a.b: 1", "1:1 - expected a name in '[...]'"],
  ["a:1\n  b:2\n  c 3", "3:5 c expected ':' after 'c', not '3'"],
  ["# c\na:'x' b", "2:8 b expected ':' after 'b', not the end"],
  ["a:1 § b:2", "1:5 - expected a field name, not '§'"],
];

for (const [text, expected] of BAD) {
  test(`text format refuses ${JSON.stringify(text)}`, () => {
    try {
      parseTextFormat(text);
    } catch (error) {
      assert.ok(error instanceof TextFormatError);
      assert.equal(`${error.at.line}:${error.at.column} ${error.field ?? "-"} ${error.message}`, expected);
      return;
    }
    assert.fail("it was taken");
  });
}

test("there are at least 40 wrong inputs", () => {
  assert.ok(BAD.length >= 40);
});

test("nesting is bounded", () => {
  const nested = (levels: number): string => `${"m{".repeat(levels)}${"}".repeat(levels)}`;
  assert.ok(parseTextFormat(nested(TEXT_DEPTH_MAX - 1)));
  assert.throws(() => parseTextFormat(nested(TEXT_DEPTH_MAX)), /nested deeper than 32 levels/);
});

test("the length is bounded", () => {
  assert.deepEqual(parseTextFormat(" ".repeat(TEXT_LENGTH_MAX)), []);
  assert.throws(() => parseTextFormat(" ".repeat(TEXT_LENGTH_MAX + 1)), /longer than 65536 characters/);
});

test("property: any text survives quoting", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const [field] = parseTextFormat(`a: ${quoteText(text)}`);
      const value = field?.values[0];
      assert.equal(value?.kind === "string" ? value.text : undefined, text);
    }),
  );
});

test("property: arbitrary input is parsed or refused with a place inside it, never otherwise", () => {
  const piece = fc.constantFrom(
    "a",
    ":",
    "'",
    '"',
    "{",
    "}",
    "<",
    ">",
    "[",
    "]",
    ",",
    ";",
    "#",
    "\n",
    " ",
    "1",
    "-",
    ".",
    "\\",
    "x41",
    "inf",
    "\ud800",
    "ä",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join("");
      try {
        parseTextFormat(text);
      } catch (error) {
        assert.ok(error instanceof TextFormatError, String(error));
        const line = text.split("\n")[error.at.line - 1];
        assert.ok(line !== undefined && error.at.column >= 1 && error.at.column <= line.length + 1);
      }
    }),
    { numRuns: 2000 },
  );
});
