/**
 * Servers on machines of their own, as far as Linux can pretend: each in a network namespace with one cable to a switch, which
 * can be pulled. A pulled cable loses packets without a word, which killing and stopping processes never does. Must run below
 * `unshare --net --mount`: whatever is made here ends with the last process in there, and the machine's own network is never touched.
 */
import { execFileSync, spawnSync } from "node:child_process";

const SWITCH = "switch0";
const SUBNET = "10.93.0";
/** The address of the test itself, whose cable is never pulled. */
const OWN_HOST = 254;

/** How the command line to run a program without the machine's network begins. */
export const UNSHARE: readonly [string, ...string[]] = ["unshare", "--net", "--mount"];

/** Why this machine cannot do it, or null. */
export function whyNoNamespaces(): string | null {
  const [command, ...args] = UNSHARE;
  const script = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add probe && ip link add probe0 type bridge";
  const probe = spawnSync(command, [...args, "sh", "-c", script], { encoding: "utf8" });
  if (probe.status === 0) {
    return null;
  }
  return (probe.error?.message ?? probe.stderr.trim()) || `exit status ${probe.status}`;
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
}

export class CutNetwork {
  private readonly size: number;

  /** Makes the switch and `size` hosts, 0 to size - 1, all connected. */
  constructor(size: number) {
    this.size = size;
    run("mount", "-t", "tmpfs", "none", "/run"); // where `ip` keeps the names of namespaces; ours alone
    run("mkdir", "/run/netns");
    run("ip", "link", "set", "lo", "up");
    run("ip", "link", "add", SWITCH, "type", "bridge");
    run("ip", "address", "add", `${SUBNET}.${OWN_HOST}/24`, "dev", SWITCH);
    run("ip", "link", "set", SWITCH, "up");
    for (let host = 0; host < size; host++) {
      const name = `host${host}`;
      run("ip", "netns", "add", name);
      run("ip", "link", "add", `cable${host}`, "type", "veth", "peer", "name", "eth0", "netns", name);
      run("ip", "-n", name, "link", "set", "lo", "up");
      run("ip", "-n", name, "address", "add", `${this.addressOf(host)}/24`, "dev", "eth0");
      run("ip", "-n", name, "link", "set", "eth0", "up");
      run("ip", "link", "set", `cable${host}`, "up");
    }
    this.plugAll();
  }

  addressOf(host: number): string {
    return `${SUBNET}.${host + 1}`;
  }

  /** The command line that runs `command` on `host`. */
  commandOn(host: number, command: readonly string[]): readonly string[] {
    return ["ip", "netns", "exec", `host${host}`, ...command];
  }

  plugAll(): void {
    for (let host = 0; host < this.size; host++) {
      run("ip", "link", "set", `cable${host}`, "master", SWITCH);
    }
  }

  /** Every cable leaves the switch: nobody reaches anybody, and nobody is told. */
  pullAll(): void {
    for (let host = 0; host < this.size; host++) {
      run("ip", "link", "set", `cable${host}`, "nomaster");
    }
  }
}
