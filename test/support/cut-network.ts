/**
 * Servers on machines of their own, as far as Linux can pretend: each in a network namespace with one cable to a switch, which
 * can be pulled. A pulled cable loses packets without a word, which killing and stopping processes never does; so does a way from one
 * host to another that is cut, and a cable can be slow or lose some. Must run below `unshare --net --mount`: whatever is made here
 * ends with the last process in there, and the machine's own network is never touched.
 */
import { execFileSync, spawnSync } from "node:child_process";

const SWITCH = "switch0";
const SUBNET = "10.93.0";
/** The address of the test itself, whose cable is never pulled. */
const OWN_HOST = 254;

/** Where packets go that are to be lost: a network card that nobody has. */
const NOBODY = "02:00:00:00:de:ad";
/** The pipe that stands in for a delay: a few times less than a cluster under load wants to send, so that packets queue. */
const NARROW_PIPE = ["rate", "300kbit", "burst", "4k"];
const NFT_TABLE = "weather";

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

/** What a bad cable is made with: netem where the kernel has it, else a narrow pipe and nft's random drops; null where there is nothing. */
export type Means = { readonly delay: "netem" | "narrow pipe"; readonly loss: "netem" | "nft" | null };

/** How bad a cable is, in the direction away from its host. */
export type Weather = { readonly delayMs: number; readonly lossPercent: number };
const FAIR: Weather = { delayMs: 0, lossPercent: 0 };

function works(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
}

export class CutNetwork {
  readonly means: Means;
  private readonly size: number;
  /** Ways that are cut, as "from to". */
  private readonly cuts = new Set<string>();
  private readonly weather = new Map<number, Weather>();

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
    this.means = this.findMeans();
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
      this.plug(host);
    }
  }

  plug(host: number): void {
    run("ip", "link", "set", `cable${host}`, "master", SWITCH);
  }

  /** Every cable leaves the switch: nobody reaches anybody, and nobody is told. */
  pullAll(): void {
    for (let host = 0; host < this.size; host++) {
      this.pull(host);
    }
  }

  /** `host` alone leaves the switch: it reaches nobody, clients included. */
  pull(host: number): void {
    run("ip", "link", "set", `cable${host}`, "nomaster");
  }

  /** What `from` sends to `to` is lost from now on; the way back stays, and both reach everybody else. */
  cutWay(from: number, to: number): void {
    run("ip", "-n", `host${from}`, "neigh", "replace", this.addressOf(to), "lladdr", NOBODY, "dev", "eth0", "nud", "permanent");
    this.cuts.add(`${from} ${to}`);
  }

  mendWay(from: number, to: number): void {
    if (this.cuts.delete(`${from} ${to}`)) {
      run("ip", "-n", `host${from}`, "neigh", "del", this.addressOf(to), "dev", "eth0");
    }
  }

  /** Replaces how bad the cable of `host` is. */
  setWeather(host: number, weather: Weather): void {
    this.weather.set(host, weather);
    const { delayMs, lossPercent } = weather;
    const queue = ["-n", `host${host}`, "qdisc", "replace", "dev", "eth0", "root"];
    spawnSync("tc", ["-n", `host${host}`, "qdisc", "del", "dev", "eth0", "root"], { stdio: "ignore" }); // there may be none
    if (this.means.delay === "netem" && (delayMs > 0 || lossPercent > 0)) {
      run("tc", ...queue, "netem", "delay", `${delayMs}ms`, `${delayMs / 4}ms`, "loss", `${lossPercent}%`);
    } else if (delayMs > 0) {
      run("tc", ...queue, "tbf", ...NARROW_PIPE, "latency", `${delayMs}ms`);
    }
    if (this.means.loss === "nft") {
      this.dropSome(host, lossPercent);
    }
  }

  /** Every cable in its place, every way open, every cable good. */
  healAll(): void {
    this.plugAll();
    for (const cut of [...this.cuts]) {
      const [from = 0, to = 0] = cut.split(" ").map(Number);
      this.mendWay(from, to);
    }
    for (const [host, { delayMs, lossPercent }] of this.weather) {
      if (delayMs > 0 || lossPercent > 0) {
        this.setWeather(host, FAIR);
      }
    }
  }

  private dropSome(host: number, percent: number): void {
    const nft = this.commandOn(host, ["nft"]);
    const [command = "", ...args] = nft;
    spawnSync(command, [...args, "delete", "table", "ip", NFT_TABLE], { stdio: "ignore" }); // there may be none
    if (percent > 0) {
      const rule = `table ip ${NFT_TABLE} { chain out { type filter hook output priority 0; oif eth0 numgen random mod 100 < ${percent} drop; }; }`;
      run(command, ...args, rule);
    }
  }

  private findMeans(): Means {
    if (works("tc", "-n", "host0", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "1ms")) {
      run("tc", "-n", "host0", "qdisc", "del", "dev", "eth0", "root");
      return { delay: "netem", loss: "netem" };
    }
    const [command = "", ...args] = this.commandOn(0, ["nft", "add", "table", "ip", NFT_TABLE]);
    return { delay: "narrow pipe", loss: works(command, ...args) ? "nft" : null };
  }
}
