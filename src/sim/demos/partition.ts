/** Demonstration 1 (PROTOCOL §4.6): the network splits five servers into two and three, and a client on each side writes the same key. */
import { type Demo, demoScenario } from "./demo.js";

const LEFT = [0, 1];
const RIGHT = [2, 3, 4];

export const PARTITION: Demo = {
  name: "partition",
  about:
    "Five servers. The network splits them into n1 n2 and n3 n4 n5. A client on each side writes the same key. Then the network heals.",
  scenario: demoScenario("partition", 16_000, [{ kind: "split", at: 3000, forMs: 7000, groups: [LEFT, RIGHT] }]),
  steps: [
    { at: 2000, kind: "say", text: "All is well: five servers answer each other, and a write needs three of them." },
    { at: 2000, kind: "ask", client: 0, server: 0, key: "k", input: { op: "put", value: "before" } },
    {
      at: 3000,
      kind: "say",
      under: "live",
      text: "In a moment each side sees that the others do not answer, and leaves them out of the count: two of two are a quorum on the left, two of three on the right.",
    },
    {
      at: 3000,
      kind: "say",
      under: "majority",
      text: "The voters are five, whoever answers: a quorum is three of them. Two silent servers are missed; they are not counted out.",
    },
    { at: 5900, kind: "status", servers: [0, 2] },
    { at: 6000, kind: "say", text: "A client on each side writes k." },
    { at: 6000, kind: "ask", client: 1, server: 0, key: "k", input: { op: "put", value: "left" } },
    { at: 6000, kind: "ask", client: 2, server: 3, key: "k", input: { op: "put", value: "right" } },
    { at: 8500, kind: "say", text: "Each client reads what it has written, through the other server of its side." },
    { at: 8500, kind: "ask", client: 1, server: 1, key: "k", input: { op: "get" } },
    { at: 8500, kind: "ask", client: 2, server: 4, key: "k", input: { op: "get" } },
    { at: 14_000, kind: "look", key: "k" },
    { at: 14_000, kind: "say", text: "The network has been whole for four seconds. Each client reads again, through the other side." },
    { at: 14_000, kind: "ask", client: 1, server: 2, key: "k", input: { op: "get" } },
    { at: 14_000, kind: "ask", client: 2, server: 0, key: "k", input: { op: "get" } },
  ],
  moral: {
    live: "Both sides had a quorum by their own count, the two quorums shared no server, and so nobody was there to know of both writes. No healing can repair that: one of two acknowledged writes is lost, or the servers differ for ever.",
    majority:
      "Any two majorities of five share a server. So only one side could go on; the other did not answer rather than answer wrongly, said why, and caught up when the network healed. Nothing that was acknowledged was lost.",
  },
};
