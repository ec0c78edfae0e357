/**
 * Brings the faults of a scenario about, each at its time, and takes them back when its window ends. It draws nothing: what
 * happens is written in the scenario.
 */
import { unreachable } from "../../base/assert.js";
import {
  type ClockFault,
  type DiskFault,
  type Fault,
  isClockFault,
  isDiskFault,
  isMemberFault,
  isNetworkFault,
  type ProcessFault,
} from "../scenario/faults.js";
import type { Scenario } from "../scenario/scenario.js";
import { Churn } from "./churn.js";
import type { Cluster } from "./cluster.js";
import { CRASHED, type Machine } from "./machine.js";

const MICROS_A_MILLI = 1000;
/** A process that ended by itself is started again after so long, as a supervisor of processes does. */
const SUPERVISED_MS = 1000;
/** Deaths that a fault brought about, and whose end the fault decides. */
const BROUGHT_ABOUT: readonly string[] = ["is killed", "loses power", "stops", CRASHED];

type End = () => void;
const NOTHING: End = () => {};

export class Nemesis {
  private readonly cluster: Cluster;
  private readonly churn: Churn;
  /** What ends each fault that lasts. */
  private readonly lasting = new Set<{ readonly fault: Fault; readonly end: End }>();
  /** Machines that a rolling restart has stopped and not started again yet. */
  private readonly stopping = new Set<Machine>();
  private over = false;

  constructor(cluster: Cluster, { faults, held }: Pick<Scenario, "faults" | "held">) {
    this.cluster = cluster;
    this.churn = new Churn(cluster);
    for (const machine of cluster.machines) {
      machine.onDeath = (how) => this.supervise(machine, how);
    }
    for (const fault of held) {
      cluster.engine.schedule(fault.at * MICROS_A_MILLI, () => this.hold(fault));
    }
    for (const fault of faults) {
      if (isDiskFault(fault)) {
        cluster.machine(fault.server).disk.announce(fault);
      }
      cluster.engine.schedule(fault.at * MICROS_A_MILLI, () => this.begin(fault));
    }
  }

  /** Ends every fault that lasts; later ones do not begin any more. */
  end(): void {
    this.over = true;
    for (const lasting of [...this.lasting]) {
      this.finish(lasting);
    }
    for (const machine of this.stopping) {
      machine.kill();
      machine.start();
    }
  }

  private supervise(machine: Machine, how: string): void {
    if (!BROUGHT_ABOUT.includes(how)) {
      this.cluster.engine.after(SUPERVISED_MS * MICROS_A_MILLI, () => this.over || machine.start());
    }
  }

  /** Begins a fault that nothing ends. */
  private hold(fault: Fault): void {
    this.announce(fault);
    this.start(fault);
  }

  private announce(fault: Fault): void {
    const { engine, watchers, tally } = this.cluster;
    tally.add(`fault ${fault.kind}`);
    watchers.tell((observer) => observer.fault?.(engine.now, fault, "begins"));
  }

  private begin(fault: Fault): void {
    if (this.over) {
      return;
    }
    const { engine } = this.cluster;
    this.announce(fault);
    const lasting = { fault, end: this.start(fault) };
    this.lasting.add(lasting);
    engine.after(fault.forMs * MICROS_A_MILLI, () => this.finish(lasting));
  }

  private finish(lasting: { readonly fault: Fault; readonly end: End }): void {
    if (this.lasting.delete(lasting)) {
      const { engine, watchers } = this.cluster;
      if (lasting.fault.forMs > 0) {
        watchers.tell((observer) => observer.fault?.(engine.now, lasting.fault, "ends"));
      }
      lasting.end();
    }
  }

  private start(fault: Fault): End {
    if (isNetworkFault(fault)) {
      return this.cluster.network.begin(fault);
    }
    if (isDiskFault(fault)) {
      return this.startDisk(fault);
    }
    if (isMemberFault(fault)) {
      return this.churn.begin(fault);
    }
    return isClockFault(fault) ? this.startClock(fault) : this.startProcess(fault);
  }

  private startDisk(fault: DiskFault): End {
    return this.cluster.machine(fault.server).disk.begin(fault);
  }

  private startClock(fault: ClockFault): End {
    const machine = this.cluster.machine(fault.server);
    switch (fault.kind) {
      case "rate":
        machine.clock.setRate(fault.ppm);
        return () => machine.clock.setRate(0);
      case "jump":
        machine.clock.jumpWall(fault.byMs);
        return NOTHING;
      case "suspend": {
        machine.clock.suspend();
        const resume = pause(machine);
        return () => {
          machine.clock.wake();
          resume();
        };
      }
      default:
        return unreachable(fault);
    }
  }

  private startProcess(fault: ProcessFault): End {
    switch (fault.kind) {
      case "kill":
      case "stop":
      case "pause": {
        const machine = this.churn.victim(fault.server);
        return machine === null ? NOTHING : this.interrupt(fault.kind, machine);
      }
      case "power":
        for (const index of fault.servers) {
          this.cluster.machine(index).losePower();
        }
        return () => {
          for (const index of fault.servers) {
            this.cluster.machine(index).start();
          }
        };
      case "crashAt":
        return this.crashAt(fault);
      case "crashLoop":
        return this.crashLoop(fault);
      case "rolling":
        return this.roll(fault.everyMs);
      case "handover":
        this.handOver(fault.heir);
        return NOTHING;
      case "nominate": {
        const { server } = this.cluster.machine(fault.server);
        const address = this.cluster.addresses[fault.server];
        if (server !== null && address !== undefined) {
          this.cluster.machine(fault.server).host?.enter(() => server.elect(address));
        }
        return NOTHING;
      }
      default:
        return unreachable(fault);
    }
  }

  private interrupt(how: "kill" | "stop" | "pause", machine: Machine): End {
    switch (how) {
      case "pause":
        return pause(machine);
      case "kill":
        machine.kill();
        return () => machine.start();
      case "stop":
        machine.stop();
        return () => {
          machine.kill();
          machine.start();
        };
      default:
        return unreachable(how);
    }
  }

  private crashAt(fault: Extract<ProcessFault, { kind: "crashAt" }>): End {
    const machine = this.cluster.machine(fault.server);
    const { host } = machine;
    if (host === null) {
      return NOTHING;
    }
    host.planCrash(fault.plan);
    const before = machine.onDeath;
    let isOpen = true;
    machine.onDeath = (how) => {
      machine.onDeath = before;
      before(how);
      // Another fault may have been faster, or this one be over: then that one says how long the machine is down.
      if (isOpen && how === CRASHED) {
        if (fault.power) {
          machine.losePower();
        }
        this.cluster.engine.after(fault.downMs * MICROS_A_MILLI, () => this.over || machine.start());
      }
    };
    return () => {
      isOpen = false;
      host.planCrash(null);
    };
  }

  private crashLoop(fault: Extract<ProcessFault, { kind: "crashLoop" }>): End {
    const machine = this.cluster.machine(fault.server);
    let ended = false;
    const turn = (): void => {
      if (!ended) {
        machine.kill();
        machine.start();
        this.cluster.engine.after(fault.everyMs * MICROS_A_MILLI, turn);
      }
    };
    turn();
    return () => {
      ended = true;
      machine.start();
    };
  }

  private roll(everyMs: number): End {
    const { machines, engine } = this.cluster;
    machines.forEach((machine, i) => {
      engine.after(i * everyMs * MICROS_A_MILLI, () => {
        if (!this.over) {
          this.stopping.add(machine);
          machine.stop();
        }
      });
      engine.after((i + 0.5) * everyMs * MICROS_A_MILLI, () => {
        if (!this.over) {
          this.stopping.delete(machine);
          machine.kill();
          machine.start();
        }
      });
    });
    return NOTHING;
  }

  private handOver(heir: number | null): void {
    const index = this.cluster.coordinator();
    const server = index === null ? null : this.cluster.server(index);
    const address = this.cluster.addresses[heir ?? ((index ?? 0) + 1) % this.cluster.machines.length];
    if (index !== null && server !== null && address !== undefined) {
      this.cluster.machine(index).host?.enter(() => server.elect(address));
    }
  }
}

function pause(machine: Machine): End {
  const { host } = machine;
  host?.pause();
  return () => host?.resume();
}
