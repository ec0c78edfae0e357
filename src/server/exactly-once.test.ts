/**
 * Exactly once, at random: three servers' proposals and state machines over one log, with coordinators that change and adopt some of
 * what was proposed, messages that come late, twice, out of order and to later lives, deadlines, restarts, states swapped over a gap,
 * and so few sessions that they expire. Some writes run under the session of the server that is asked; others under the session of a
 * client, which asks other servers too, again and at the same time, under one number. At the end no write has run twice, what was
 * acknowledged is there at the revision that was told, and what was called "not applied" is not there. The schedule comes from a seed,
 * which a failure names.
 */
import { deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { present } from "../base/assert.js";
import { nextInt, type Prng, seedPrng } from "../base/prng.js";
import { utf8Encode } from "../base/utf8.js";
import { encodeCommand, encodePlainPut } from "../kv/command.js";
import type { KvStore } from "../kv/kv-store.js";
import { NO_SESSION, type SessionId } from "../kv/model.js";
import { Store } from "../kv/store.js";
import { type Address, address } from "../paxos/ids.js";
import type { Forward, ForwardReply } from "../paxos/message.js";
import type { WriteNumber } from "./client-writes.js";
import { Proposals } from "./proposals.js";

const SERVERS = 3;
const SEEDS = 200;
const STEPS = 2500;
const QUIET_STEPS = 3000;
const CLIENTS = 2;
const SESSIONS = { sessions: SERVERS + CLIENTS, replies: 40, replyBytes: 1 << 20 };
const FAR = 1_000_000_000;

type Host = { store: KvStore; readonly proposals: Proposals };
type Put = { readonly key: string; outcome: "open" | "ok" | "refused" | "not-applied" | "unknown"; revision: number };
/** A client that knows its session, and the numbers that it waits for. */
type Client = { session: SessionId; next: number; readonly open: Set<number> };
type Sent = { readonly to: number; readonly from: Address; readonly message: Forward | ForwardReply };

/** A write of a client's session that is being asked. */
type Asked = { readonly put: Put; readonly number: WriteNumber; readonly client: Client; tries: number; mayBeApplied: boolean };

const newClient = (session: SessionId): Client => ({ session, next: 1, open: new Set() });

class Swarm {
  readonly puts: Put[] = [];
  private readonly prng: Prng;
  private readonly addresses = Array.from({ length: SERVERS }, (_, i) => address(`127.0.0.1:${9000 + i}`));
  private readonly log: Uint8Array[] = [];
  private readonly hosts: Host[];
  private messages: Sent[] = [];
  private proposed: Uint8Array[] = [];
  private readonly clients: Client[] = Array.from({ length: CLIENTS }, () => newClient(NO_SESSION));
  private coordinator = -1;
  private now = 0;
  private nonces = 1n;

  constructor(seed: number) {
    this.prng = seedPrng(seed);
    this.hosts = this.addresses.map((_, i) => this.boot(i));
  }

  /** Acts at random, then without faults until everything is answered or too late, and returns what is wrong. */
  run(): readonly string[] {
    for (let i = 0; i < STEPS; i++) {
      this.act(nextInt(this.prng, 0, 15));
    }
    this.coordinate(0);
    for (let i = 0; i < QUIET_STEPS; i++) {
      this.act(nextInt(this.prng, 2, 12));
    }
    this.log.push(...this.proposed);
    const judge = this.host(0);
    this.applyTo(judge, this.log.length);
    return this.puts.flatMap((put) => this.judge(put, judge.store));
  }

  private judge({ key, outcome, revision }: Put, store: KvStore): readonly string[] {
    const found = store.get(utf8Encode(key));
    const version = found?.version ?? 0;
    const wrong = [
      version > 1 ? `${key} ran ${version} times` : "",
      outcome === "ok" && version === 0 ? `${key} was acknowledged and is not there` : "",
      outcome === "ok" && found !== undefined && found.modRevision !== revision ? `${key} was told another revision` : "",
      (outcome === "not-applied" || outcome === "refused") && version > 0 ? `${key} was called not applied and is there` : "",
    ];
    return wrong.filter((text) => text !== "");
  }

  private act(choice: number): void {
    this.now += nextInt(this.prng, 0, 30_000);
    const at = nextInt(this.prng, 0, SERVERS);
    const host = this.host(at);
    switch (choice) {
      case 0:
        return this.put(host);
      case 1:
        return this.putInSession(present(this.clients[nextInt(this.prng, 0, CLIENTS)], "the client is one of the swarm"), at);
      case 2:
      case 3:
        return host.proposals.cut(true);
      case 4:
      case 5:
        this.log.push(...this.proposed.splice(0, 1));
        return;
      case 6:
      case 7:
        return this.applyTo(host, host.store.appliedSlot + 1);
      case 8:
      case 9:
        return this.deliver();
      case 10:
        host.proposals.tick(this.now);
        return host.proposals.expire(this.now, () => "late.");
      case 11:
        return this.coordinator === at ? undefined : this.tell(host);
      case 12:
        return this.rarely(6) ? this.coordinate(nextInt(this.prng, 0, SERVERS)) : undefined;
      case 13:
        return this.rarely(8) ? this.restart(at) : undefined;
      default:
        return this.rarely(5) && this.coordinator !== at ? this.swap(host) : undefined;
    }
  }

  private boot(at: number): Host {
    const proposals = new Proposals({
      caps: { bytes: 4096, commands: 3 },
      now: () => this.now,
      canPropose: () => this.coordinator === at && this.proposed.length < 4,
      propose: ({ payload }) => this.proposed.push(payload),
      send: (to, message) => this.messages.push({ to: this.addresses.indexOf(to), from: this.addressOf(at), message }),
      wantTurn: () => {},
      nonce: () => this.nonces++, // successive: the ids of Forwards of different lives do meet
      onMalformed: (_, error) => {
        throw error;
      },
    });
    return { store: Store.empty(SESSIONS), proposals };
  }

  private put({ proposals }: Host): void {
    const put: Put = { key: `w${this.puts.length}`, outcome: "open", revision: 0 };
    this.puts.push(put);
    const settle = (outcome: Put["outcome"]): void => {
      ok(put.outcome === "open", "a write is answered once");
      put.outcome = outcome;
    };
    proposals.write(encodePlainPut(utf8Encode(put.key), utf8Encode("v")), {
      deadline: this.now + 200_000 + nextInt(this.prng, 0, 5_000_000),
      done: (reply) => {
        settle(reply.kind === "error" ? "refused" : "ok");
        put.revision = reply.revision;
      },
      fail: ({ outcome }) => settle(outcome),
    });
  }

  /** A client registers, or writes under its session: it asks on, through other servers, until it is told or gives up. */
  private putInSession(client: Client, at: number): void {
    if (client.session === NO_SESSION) {
      const command = encodeCommand({ kind: "registerSession", nonce: this.nonces++ });
      this.host(at).proposals.write(command, {
        deadline: this.now + 5_000_000,
        done: (reply) => {
          if (reply.kind === "registered" && client.session === NO_SESSION) {
            Object.assign(client, { ...newClient(reply.session) });
          }
        },
        fail: () => {},
      });
      return;
    }
    const put: Put = { key: `s${this.puts.length}`, outcome: "open", revision: 0 };
    this.puts.push(put);
    const number = { session: client.session, seq: client.next++, firstUnacked: 0 };
    client.open.add(number.seq);
    this.ask({ put, number, client, tries: nextInt(this.prng, 1, 6), mayBeApplied: false }, at);
  }

  private ask(write: Asked, at: number): void {
    const { put, client, number } = write;
    const settle = (outcome: Put["outcome"], revision = 0): void => {
      if (put.outcome === "open") {
        Object.assign(put, { outcome, revision });
        if (client.session === number.session) {
          client.open.delete(number.seq);
        }
      }
    };
    const fail = (mayBeApplied: boolean): void => {
      write.mayBeApplied ||= mayBeApplied;
      if (--write.tries > 0 && client.session === number.session) {
        this.ask(write, nextInt(this.prng, 0, SERVERS));
      } else {
        settle(write.mayBeApplied ? "unknown" : "not-applied");
      }
    };
    let isOver = false;
    this.host(at).proposals.write(
      encodePlainPut(utf8Encode(put.key), utf8Encode("v")),
      {
        deadline: this.now + 100_000 + nextInt(this.prng, 0, 1_000_000),
        done: (reply, isDoubtful) => {
          ok(!isOver, "a call is answered once");
          isOver = true;
          if (reply.kind !== "error") {
            settle("ok", reply.revision);
          } else if (reply.error.kind === "session-expired") {
            client.session = client.session === number.session ? NO_SESSION : client.session;
            fail(isDoubtful === true);
          } else {
            ok(put.outcome !== "open", `nothing else is refused while it is asked: ${reply.error.kind}`);
          }
        },
        fail: ({ outcome }) => {
          ok(!isOver, "a call is answered once");
          isOver = true;
          fail(outcome === "unknown");
        },
      },
      { ...number, firstUnacked: Math.min(...client.open, number.seq) },
    );
    if (this.rarely(4) && write.tries > 1) {
      write.tries--;
      write.mayBeApplied = true; // the connection broke: asked again at once, here or elsewhere, while the first call stands
      this.ask(write, nextInt(this.prng, 0, SERVERS));
    }
  }

  private applyTo({ store, proposals }: Host, slot: number): void {
    while (store.appliedSlot < Math.min(slot, this.log.length)) {
      store.applyBatch(store.appliedSlot + 1, present(this.log[store.appliedSlot], "the slot is decided"), proposals);
    }
  }

  /** One of the messages under way arrives; one in three will arrive again, one in ten is lost. */
  private deliver(): void {
    const at = nextInt(this.prng, 0, Math.max(1, this.messages.length));
    const sent = this.messages[at];
    if (sent === undefined) {
      return;
    }
    if (!this.rarely(3)) {
      this.messages.splice(at, 1);
    }
    if (!this.rarely(10)) {
      const { proposals } = this.host(sent.to);
      sent.message.kind === "forward" ? proposals.onForward(sent.from, sent.message) : proposals.onForwardReply(sent.from, sent.message);
    }
  }

  private tell({ proposals }: Host): void {
    proposals.onCoordination(this.coordinator < 0 ? null : this.addressOf(this.coordinator), false);
  }

  /** Another coordinates: it finds some of what was proposed, and the rest is gone. */
  private coordinate(at: number): void {
    const before = this.coordinator;
    this.log.push(...this.proposed.slice(0, nextInt(this.prng, 0, this.proposed.length + 1)));
    this.proposed = [];
    this.coordinator = -1;
    if (before >= 0) {
      this.tell(this.host(before));
    }
    this.coordinator = at;
    this.host(at).proposals.onCoordination(this.addressOf(at), true);
  }

  private restart(at: number): void {
    if (this.coordinator === at) {
      this.coordinate((at + 1) % SERVERS);
    }
    const { proposals } = this.host(at);
    const host = this.boot(at);
    this.hosts[at] = host;
    proposals.failAll("killed.");
    this.applyTo(host, nextInt(this.prng, 0, this.log.length + 1));
  }

  /** The state of a server that is ahead takes over, in the order in which Snapshots does it. */
  private swap(host: Host): void {
    const other = this.host(nextInt(this.prng, 0, SERVERS));
    if (other.store.appliedSlot <= host.store.appliedSlot) {
      return;
    }
    const view = other.store.openReadView();
    const filling = Store.restore(SESSIONS);
    while (!view.done) {
      const chunk = view.next(FAR);
      if (chunk !== undefined) {
        filling.write(chunk);
        while (!filling.step(FAR)) {
          // to the end of the chunk
        }
      }
    }
    view.close();
    host.proposals.onGap();
    host.store = filling.finish();
    this.applyTo(host, host.store.appliedSlot + nextInt(this.prng, 0, 4));
  }

  private rarely(oneIn: number): boolean {
    return nextInt(this.prng, 0, oneIn) === 0;
  }

  private host(at: number): Host {
    return present(this.hosts[at], "the server is one of the swarm");
  }

  private addressOf(at: number): Address {
    return present(this.addresses[at], "the server is one of the swarm");
  }
}

test(`in ${SEEDS} random lives of three servers every write runs at most once, and its answer is true`, () => {
  const counts = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const swarm = new Swarm(seed);
    deepEqual(swarm.run(), [], `seed ${seed}`);
    for (const { key, outcome } of swarm.puts) {
      const kind = `${key.startsWith("s") ? "client's session" : "server's session"}, ${outcome}`;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  }
  for (const outcome of ["ok", "unknown", "not-applied"]) {
    for (const session of ["server's", "client's"]) {
      const count = counts.get(`${session} session, ${outcome}`) ?? 0;
      ok(count > 2 * SEEDS, `the schedules bring about many writes under a ${session} session that end ${outcome}: ${count}`);
    }
  }
  ok(![...counts.keys()].some((kind) => kind.endsWith("open")), "everything is answered in the end");
});
