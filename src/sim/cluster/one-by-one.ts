/**
 * One server after another is taken away, the next as soon as `status` shows that the change before is settled and a write got through: what
 * the cluster promises to survive (PROTOCOL §4.5). That it comes to a stand before it should is a violation.
 */
import { Violation } from "../observer.js";
import type { OneByOneFault } from "../scenario/faults.js";
import type { Cluster } from "./cluster.js";
import type { Machine } from "./machine.js";

const MICROS_A_MILLI = 1000;
const LOOK_MS = 100;
/** A cluster that lost its quorum has come to rest after so long, and must stay so for as long again. */
const BLOCKED_MS = 4000;

export class OneByOne {
  private readonly cluster: Cluster;
  private readonly fault: OneByOneFault;
  private readonly taken: Machine[] = [];
  /** What was decided when the last was taken. */
  private decided = 0;
  private isDone = false;
  private isOver = false;

  constructor(cluster: Cluster, fault: OneByOneFault) {
    this.cluster = cluster;
    this.fault = fault;
  }

  begin(): () => void {
    this.look();
    return () => this.end();
  }

  private look(): void {
    const { cluster } = this;
    if (this.isOver || this.isDone) {
      return;
    }
    const voters = cluster.census.configuration?.voters.length ?? 0;
    if (this.isReady()) {
      if (voters > this.fault.downTo) {
        this.takeOne();
      } else {
        this.isDone = true;
        cluster.tally.add(`one by one down to ${voters}`);
        this.blockWhereAsked();
      }
    }
    cluster.engine.after(LOOK_MS * MICROS_A_MILLI, () => this.look());
  }

  /** All voters run, the coordinator calls the newest change settled, and writes go on. */
  private isReady(): boolean {
    const { census, protocol } = this.cluster;
    const coordinator = this.cluster.coordinator();
    const server = coordinator === null ? null : this.cluster.server(coordinator);
    const status = server?.replicaStatus().configuration;
    const { configuration } = census;
    return (
      configuration !== undefined &&
      status?.settled === true &&
      status.epoch === configuration.epoch &&
      protocol.decided > this.decided &&
      protocol.decided > (status.slot ?? 0) &&
      configuration.voters.every((voter) => census.holderOf(voter)?.server != null)
    );
  }

  private takeOne(): void {
    const { cluster, fault } = this;
    const coordinator = cluster.coordinator();
    const victim = cluster.machines.find(
      ({ index }) => cluster.census.isVoter(index) && (index === coordinator) === (fault.whom === "coordinator"),
    );
    if (victim !== undefined) {
      this.take(victim);
    }
  }

  private take(victim: Machine): void {
    const { cluster, fault } = this;
    this.decided = cluster.protocol.decided;
    this.taken.push(victim);
    cluster.tally.add(`one by one: ${fault.how}`);
    if (fault.how === "kill") {
      victim.kill();
    } else {
      victim.stop();
    }
  }

  /** One more than the cluster bears: nothing is decided then, and whoever is left names whom to start. */
  private blockWhereAsked(): void {
    const { cluster, fault } = this;
    if (!fault.thenBlock) {
      return;
    }
    const address = cluster.census.addressOf(cluster.coordinator() ?? 0);
    this.takeOne();
    cluster.engine.after(BLOCKED_MS * MICROS_A_MILLI, () => {
      const { decided } = cluster.protocol;
      cluster.engine.after(BLOCKED_MS * MICROS_A_MILLI, () => {
        const { watchers, protocol, tally } = cluster;
        const left = cluster.machines.filter(({ server, index }) => server !== null && cluster.census.isVoter(index));
        const unnamed = left.find(({ server }) => server?.replicaStatus().blocked?.includes(address) !== true);
        if (protocol.decided !== decided) {
          watchers.fail(new Violation("30", `slots up to ${protocol.decided} are decided without a quorum, after ${decided}`));
        } else if (unnamed !== undefined) {
          watchers.fail(new Violation("blocked", `n${unnamed.index + 1} does not say that ${address} must be started`));
        }
        tally.add("one by one: blocked");
      });
    });
  }

  private end(): void {
    const { cluster, fault } = this;
    this.isOver = true;
    const voters = cluster.census.configuration?.voters.length;
    if (!this.isDone && cluster.watchers.failure === null) {
      const text = `one by one stands still at ${voters} voters: after ${this.taken.length} of them were taken, by ${fault.how}`;
      cluster.watchers.fail(new Violation("liveness", text));
    }
    for (const machine of this.taken) {
      machine.kill();
      machine.start();
    }
  }
}
