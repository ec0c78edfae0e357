/**
 * Protobuf text format, read without a schema: names, values and where each stands, so that whoever knows the fields can say
 * what is wrong and where. Covers the whole language: both quotes, all escapes, adjacent strings, lists, nested messages in
 * either bracket, extension names, every form of number, comments, optional separators.
 * It must never know a field. Source: the text format language specification at protobuf.dev.
 */
import { utf8Decode, utf8Encode } from "../../base/utf8.js";

/** Counted from 1, in UTF-16 units. */
export type Position = { readonly line: number; readonly column: number };

export type TextValue =
  | { readonly kind: "string"; readonly text: string; readonly at: Position }
  /** `text` is as written, with its sign. */
  | { readonly kind: "number"; readonly text: string; readonly value: number; readonly at: Position }
  /** A bare word: true, false, or the name of an enum value. */
  | { readonly kind: "word"; readonly text: string; readonly at: Position }
  | { readonly kind: "message"; readonly fields: readonly TextField[]; readonly at: Position };

/** One field as written. `[a, b]` gives several values and `isList`. */
export type TextField = { readonly name: string; readonly at: Position; readonly values: readonly TextValue[]; readonly isList: boolean };

/** Input that is not text format. The message is a sentence without the position. */
export class TextFormatError extends Error {
  override readonly name = "TextFormatError";
  readonly at: Position;
  /** The field whose value was being read, if any. */
  readonly field: string | undefined;

  constructor(message: string, at: Position, field: string | undefined) {
    super(message);
    this.at = at;
    this.field = field;
  }
}

/** Longer input is refused unread. UTF-16 units. */
export const TEXT_LENGTH_MAX = 64 * 1024;
/** How deep messages and lists may nest. */
export const TEXT_DEPTH_MAX = 32;

type MutableField = { name: string; at: Position; values: TextValue[]; isList: boolean };
type Frame =
  | { readonly kind: "message"; readonly fields: TextField[]; readonly open: string; readonly at: Position }
  | { readonly kind: "list"; readonly field: MutableField; readonly at: Position; readonly messagesOnly: boolean };

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const BLANK = /(?:[ \t\r\n\f\v]|#[^\n]*)*/y;
/** What stands in place of a value and is neither a string nor a bracket: up to the next thing that can only be punctuation. */
const BARE = /[^\s,;#{}<>[\]'"]+/y;
const EXTENSION = /\[\s*([A-Za-z0-9_.%/-]+)\s*\]/y;
const INTEGER = /^(0|[1-9][0-9]*|0[0-7]+|0[xX][0-9a-fA-F]+)$/;
const FLOAT = /^(([0-9]|[1-9][0-9]*)\.[0-9]*|\.[0-9]+|(0|[1-9][0-9]*))([eE][+-]?[0-9]+)?[fF]?$/;
const SPECIAL = /^(inf|infinity|nan)f?$/i;
const CLOSERS: Readonly<Record<string, string>> = { "{": "}", "<": ">" };

/** The fields of `text`, in order. Throws `TextFormatError`. */
export function parseTextFormat(text: string): readonly TextField[] {
  return new Parser(text).parse();
}

/** `text` as a string of the text format, in single quotes. */
export function quoteText(text: string): string {
  let quoted = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (character === "'" || character === "\\") {
      quoted += `\\${character}`;
    } else if (character === "\n") {
      quoted += "\\n";
    } else {
      quoted += code < 0x20 || code === 0x7f ? `\\${code.toString(8).padStart(3, "0")}` : character;
    }
  }
  return `'${quoted}'`;
}

class Parser {
  private readonly text: string;
  private offset = 0;
  private field: string | undefined;
  private readonly frames: Frame[] = [];

  constructor(text: string) {
    this.text = text;
  }

  parse(): readonly TextField[] {
    if (this.text.length > TEXT_LENGTH_MAX) {
      throw new TextFormatError(`the text is longer than ${TEXT_LENGTH_MAX} characters`, { line: 1, column: 1 }, undefined);
    }
    const root: TextField[] = [];
    this.frames.push({ kind: "message", fields: root, open: "", at: this.position() });
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      if (frame.kind === "message") {
        this.messageStep(frame);
      } else {
        this.listStep(frame);
      }
    }
    return root;
  }

  /** One field of a message, or its end. */
  private messageStep(frame: Frame & { readonly kind: "message" }): void {
    this.skipBlank();
    const next = this.peek();
    if (next === "") {
      if (frame.open !== "") {
        this.fail(`the '${frame.open}' is never closed`, frame.at);
      }
      this.frames.pop();
      return;
    }
    if (frame.open !== "" && next === CLOSERS[frame.open]) {
      this.offset++;
      this.frames.pop();
      this.afterValue();
      return;
    }
    this.field = undefined;
    const at = this.position();
    const field: MutableField = { name: this.fieldName(), at, values: [], isList: false };
    this.field = field.name;
    frame.fields.push(field);
    this.skipBlank();
    const hasColon = this.take(":");
    this.skipBlank();
    this.firstValue(field, hasColon);
  }

  /** What follows a field's name: a value, or the beginning of a list. */
  private firstValue(field: MutableField, hasColon: boolean): void {
    const at = this.position();
    if (this.take("[")) {
      field.isList = true;
      this.push({ kind: "list", field, at, messagesOnly: !hasColon });
      return;
    }
    const isMessage = this.peek() === "{" || this.peek() === "<";
    if (!hasColon && !isMessage) {
      this.fail(`expected ':' after '${field.name}'${this.found()}`, at);
    }
    this.value(field);
  }

  /** One value of a list, or its end. */
  private listStep(frame: Frame & { readonly kind: "list" }): void {
    this.skipBlank();
    if (this.peek() === "") {
      this.fail("the '[' is never closed", frame.at);
    }
    const isFirst = frame.field.values.length === 0;
    if (this.take("]")) {
      this.frames.pop();
      this.afterValue();
      return;
    }
    if (!isFirst && !this.take(",")) {
      this.fail(`expected ',' or ']' in the list${this.found()}`, this.position());
    }
    this.skipBlank();
    if (this.peek() === "]") {
      this.fail("expected a value after ',' in the list, not ']'", this.position());
    }
    if (frame.messagesOnly && this.peek() !== "{" && this.peek() !== "<") {
      this.fail(`expected ':' before a list of plain values`, frame.at);
    }
    this.value(frame.field);
  }

  /** Reads one value into `field`: a message opens a frame, anything else is read to its end. */
  private value(field: MutableField): void {
    const at = this.position();
    const next = this.peek();
    if (next === "{" || next === "<") {
      this.offset++;
      const fields: TextField[] = [];
      field.values.push({ kind: "message", fields, at });
      this.push({ kind: "message", fields, open: next, at });
      return;
    }
    field.values.push(next === "'" || next === '"' ? { kind: "string", text: this.strings(), at } : this.bare(at));
    if (this.frames.at(-1)?.kind === "message") {
      this.afterValue();
    }
  }

  /** A separator may stand behind a field of a message, not behind a value of a list. */
  private afterValue(): void {
    if (this.frames.at(-1)?.kind === "message") {
      this.skipBlank();
      if (!this.take(",")) {
        this.take(";");
      }
    }
  }

  private push(frame: Frame): void {
    if (this.frames.length >= TEXT_DEPTH_MAX) {
      this.fail(`nested deeper than ${TEXT_DEPTH_MAX} levels`, frame.at);
    }
    this.frames.push(frame);
  }

  private fieldName(): string {
    const at = this.position();
    if (this.peek() === "[") {
      const extension = this.match(EXTENSION);
      return extension === undefined ? this.fail("expected a name in '[...]'", at) : extension.replace(/\s/g, "");
    }
    const name = this.match(NAME);
    if (name === undefined) {
      return this.fail(`expected a field name${this.found()}`, at);
    }
    if (/[-.]/.test(this.peek())) {
      const rest = this.match(BARE) ?? "";
      return this.fail(`'${name}${rest.replace(/:.*$/s, "")}' is not a field name: letters, digits and _ only`, at);
    }
    return name;
  }

  /** A number or a word. What is neither was meant as text: the commonest mistake, since shells eat quotes. */
  private bare(at: Position): TextValue {
    let sign = "";
    if (this.take("-")) {
      sign = "-";
      this.skipBlank();
    }
    const text = this.match(BARE);
    if (text === undefined) {
      return this.fail(`expected a value after '${this.field}'${this.found()}`, this.position());
    }
    if (SPECIAL.test(text)) {
      const size = /^nan/i.test(text) ? Number.NaN : Number.POSITIVE_INFINITY;
      return { kind: "number", text: sign + text, value: sign === "-" ? -size : size, at };
    }
    if (INTEGER.test(text) || FLOAT.test(text)) {
      return { kind: "number", text: sign + text, value: sign === "-" ? -numberOf(text) : numberOf(text), at };
    }
    if (sign === "" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) {
      return { kind: "word", text, at };
    }
    return this.fail(`'${sign}${text}' is neither a number nor a word; text goes in quotes: ${this.field}:${quoteText(sign + text)}`, at);
  }

  /** One or more string literals in a row, joined. Escapes may write any bytes; together they must be UTF-8. */
  private strings(): string {
    const at = this.position();
    const bytes: number[] = [];
    while (this.peek() === "'" || this.peek() === '"') {
      this.literal(bytes);
      this.skipBlank();
    }
    const text = utf8Decode(Uint8Array.from(bytes));
    return text ?? this.fail("the text's escapes do not make valid UTF-8", at);
  }

  private literal(bytes: number[]): void {
    const at = this.position();
    const quote = this.peek();
    this.offset++;
    for (;;) {
      const character = String.fromCodePoint(this.text.codePointAt(this.offset) ?? 0);
      if (this.offset >= this.text.length || character === "\n") {
        this.fail(`the text that begins with ${quote} does not end on its line`, at);
      }
      if (character === quote) {
        this.offset++;
        return;
      }
      if (character === "\\") {
        this.escape(bytes);
      } else {
        this.offset += character.length;
        bytes.push(...utf8Encode(character));
      }
    }
  }

  private escape(bytes: number[]): void {
    const at = this.position();
    const simple = SIMPLE_ESCAPES[this.text[this.offset + 1] ?? ""];
    if (simple !== undefined) {
      this.offset += 2;
      bytes.push(simple);
      return;
    }
    const octal = this.match(/\\[0-7]{1,3}/y);
    if (octal !== undefined) {
      this.pushByte(bytes, Number.parseInt(octal.slice(1), 8), octal, at);
      return;
    }
    const hex = this.match(/\\x[0-9a-fA-F]{1,2}/y);
    if (hex !== undefined) {
      this.pushByte(bytes, Number.parseInt(hex.slice(2), 16), hex, at);
      return;
    }
    const unicode = this.match(/\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}/y);
    if (unicode === undefined) {
      this.fail(`'${this.text.slice(this.offset, this.offset + 2)}' is not an escape`, at);
    }
    const [first = 0, second] = unicode
      .slice(2)
      .split("\\u")
      .map((digits) => Number.parseInt(digits, 16));
    const code = second === undefined ? first : 0x10000 + (first - 0xd800) * 0x400 + (second - 0xdc00);
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      this.fail(`'${unicode}' is not a character`, at);
    }
    bytes.push(...utf8Encode(String.fromCodePoint(code)));
  }

  private pushByte(bytes: number[], byte: number, written: string, at: Position): void {
    if (byte > 0xff) {
      this.fail(`'${written}' is more than a byte`, at);
    }
    bytes.push(byte);
  }

  private skipBlank(): void {
    this.match(BLANK);
  }

  private peek(): string {
    return this.text[this.offset] ?? "";
  }

  private take(character: string): boolean {
    const isNext = this.peek() === character;
    this.offset += isNext ? 1 : 0;
    return isNext;
  }

  /** What the sticky `pattern` matches here, moving behind it. */
  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.offset;
    const found = pattern.exec(this.text)?.[0];
    this.offset += found?.length ?? 0;
    return found;
  }

  private found(): string {
    const character = String.fromCodePoint(this.text.codePointAt(this.offset) ?? 0);
    return this.offset >= this.text.length ? ", not the end" : `, not '${character}'`;
  }

  private position(): Position {
    const before = this.text.slice(0, this.offset);
    const lineStart = before.lastIndexOf("\n") + 1;
    return { line: before.split("\n").length, column: this.offset - lineStart + 1 };
  }

  private fail(message: string, at: Position): never {
    throw new TextFormatError(message, at, this.field);
  }
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "?": 63,
  "\\": 92,
  "'": 39,
  '"': 34,
};

function numberOf(text: string): number {
  if (/^0[0-7]+$/.test(text)) {
    return Number.parseInt(text, 8);
  }
  return /^0[xX]/.test(text) ? Number.parseInt(text.slice(2), 16) : Number.parseFloat(text);
}
