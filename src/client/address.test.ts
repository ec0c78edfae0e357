/** Tests the reading of addresses: a table of texts with the host, port and canonical form of each, or the problem that is named. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback, isWildcard, parseAddress } from "./address.js";

const GOOD: ReadonlyArray<readonly [text: string, host: string, port: number, canonical: string]> = [
  ["127.0.0.1:9000", "127.0.0.1", 9000, "127.0.0.1:9000"],
  ["localhost:8000", "localhost", 8000, "127.0.0.1:8000"],
  ["LOCALHOST:8000", "localhost", 8000, "127.0.0.1:8000"],
  ["0.0.0.0:9000", "0.0.0.0", 9000, "127.0.0.1:9000"],
  [":9000", "0.0.0.0", 9000, "127.0.0.1:9000"],
  ["[::]:9000", "::", 9000, "[::1]:9000"],
  ["[::1]:8000", "::1", 8000, "[::1]:8000"],
  ["[2001:DB8::7]:1", "2001:db8::7", 1, "[2001:db8::7]:1"],
  ["[::ffff:10.0.0.1]:65535", "::ffff:10.0.0.1", 65535, "[::ffff:10.0.0.1]:65535"],
  ["db-1.example.org:443", "db-1.example.org", 443, "db-1.example.org:443"],
  [" node_2:9000 ", "node_2", 9000, "node_2:9000"],
];

for (const [text, host, port, canonical] of GOOD) {
  test(`address ${JSON.stringify(text)} is ${canonical}`, () => {
    assert.deepEqual(parseAddress(text), { host, port, canonical });
  });
}

const BAD: ReadonlyArray<readonly [text: string, problem: string]> = [
  ["", "is empty"],
  ["   ", "is empty"],
  ["localhost", "has no port"],
  ["[::1]", "has no port"],
  ["localhost:", "has the port ''"],
  ["localhost:0", "has the port '0'"],
  ["localhost:65536", "has the port '65536'"],
  ["localhost:08000", "has the port '08000'"],
  ["localhost:80a", "has the port '80a'"],
  ["localhost:-1", "has the port '-1'"],
  ["::1:9000", "has more than one colon: IPv6 goes in brackets"],
  ["[::1:9000", "opens a bracket that does not end before the port"],
  ["[::1]9000", "opens a bracket that does not end before the port"],
  ["[localhost]:9000", "has brackets around what is not IPv6"],
  ["[1:2]:9000", "has the host '1:2', which is not an IPv6 address"],
  ["[1::2::3]:9000", "has the host '1::2::3', which is not an IPv6 address"],
  ["[12345::]:9000", "has the host '12345::', which is not an IPv6 address"],
  ["256.0.0.1:9000", "has the host '256.0.0.1', which is not an IPv4 address"],
  ["1.2.3:9000", "has the host '1.2.3', which is not an IPv4 address"],
  ["01.2.3.4:9000", "has the host '01.2.3.4', which is not an IPv4 address"],
  ["a b:9000", "has the host 'a b', which is not a host name"],
  ["-a:9000", "has the host '-a', which is not a host name"],
  ["http://localhost:8000", "begins with http://, which is not part of an address here"],
];

for (const [text, problem] of BAD) {
  test(`address ${JSON.stringify(text)} ${problem}`, () => {
    const result = parseAddress(text);
    assert.equal("problem" in result ? result.problem : "none", problem);
  });
}

test("a default port and a scheme are taken only where asked for", () => {
  assert.deepEqual(parseAddress("localhost", { defaultPort: 8000 }), { host: "localhost", port: 8000, canonical: "127.0.0.1:8000" });
  const withScheme = parseAddress("http://localhost:8001/", { allowScheme: true });
  assert.equal("canonical" in withScheme && withScheme.canonical, "127.0.0.1:8001");
  const tls = parseAddress("https://localhost:8001", { allowScheme: true });
  assert.match("problem" in tls ? tls.problem : "", /begins with https:/);
});

test("wildcards and loopback", () => {
  assert.deepEqual(["0.0.0.0", "::", "127.0.0.1", "localhost"].map(isWildcard), [true, true, false, false]);
  assert.deepEqual(["0.0.0.0", "::", "127.9.0.1", "localhost", "10.0.0.1", "db"].map(isLoopback), [true, true, true, true, false, false]);
});
