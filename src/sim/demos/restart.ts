/** Demonstration 2 (PROTOCOL §4.6): no link ever fails. Three servers hold a write and crash; the other two come back without it. */
import { type Demo, demoScenario } from "./demo.js";

export const RESTART: Demo = {
  name: "restart",
  about:
    "Five servers, and no link ever fails. While n4 and n5 are down, n1 n2 n3 take a write. Then n1 n2 n3 are down and n4 n5 come back. Later n1 returns, then n2 and n3.",
  scenario: demoScenario("restart", 19_000, [
    { kind: "kill", at: 3000, forMs: 3500, server: 3 },
    { kind: "kill", at: 3000, forMs: 3500, server: 4 },
    { kind: "kill", at: 6000, forMs: 6000, server: 0 },
    { kind: "kill", at: 6000, forMs: 9000, server: 1 },
    { kind: "kill", at: 6000, forMs: 9000, server: 2 },
  ]),
  steps: [
    { at: 2000, kind: "say", text: "All is well: the first write reaches all five servers." },
    { at: 2000, kind: "ask", client: 0, server: 0, key: "k", input: { op: "put", value: "old" } },
    { at: 4500, kind: "say", text: "n4 and n5 are down. n1 n2 n3 are a quorum under either rule, and take a second write." },
    { at: 4500, kind: "ask", client: 0, server: 0, key: "k", input: { op: "put", value: "new" } },
    { at: 6000, kind: "say", text: 'The client knows that k is "new": it was told so. Now the three that know it go down.' },
    { at: 6500, kind: "say", text: "n4 and n5 come back, with what was on their disks." },
    { at: 9000, kind: "status", servers: [3] },
    { at: 9000, kind: "ask", client: 1, server: 3, key: "k", input: { op: "get" } },
    { at: 12_000, kind: "say", text: "n1 comes back, with the second write on its disk." },
    { at: 14_000, kind: "ask", client: 1, server: 3, key: "k", input: { op: "get" } },
    { at: 15_000, kind: "say", text: "n2 and n3 come back." },
    { at: 18_000, kind: "look", key: "k" },
  ],
  moral: {
    live: "Two servers that answered each other called themselves a quorum, although three others had decided without them. They answered a read with a value that a later, acknowledged write had replaced.",
    majority:
      "n4 and n5 could not be sure that nothing was decided without them, so they waited and said for whom. One server of the three was enough: three of five are a quorum, any such quorum has one that holds the write, and that one brought it back.",
  },
};
