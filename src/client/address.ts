/**
 * Network addresses as people write them, read into host and port, and written in the one form that is dialled and compared.
 * It must never resolve a name or open a socket: what an address means here follows from its letters alone.
 */

/** An address that was understood. */
export type Address = {
  /** As written, IPv6 without its brackets, lower case. `0.0.0.0` where none was written. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /**
   * `host:port` as others dial and list it: `localhost`, `0.0.0.0` and no host are `127.0.0.1`, `[::]` is `[::1]`.
   * Two spellings of one server are one string here.
   */
  readonly canonical: string;
};

/** Why an address was not understood, as the end of a sentence that begins with the address: "has no port". */
export type AddressProblem = { readonly problem: string; readonly allowed: string };

export type AddressOptions = {
  /** Taken where none is written; without it a port must be written. */
  readonly defaultPort?: number;
  /** Whether `http://` before the address is dropped, as tools of other stores write it. */
  readonly allowScheme?: boolean;
};

const PORT_MAX = 65_535;
const HOST_LENGTH_MAX = 253;
const ALLOWED_FORM = "host:port, such as 127.0.0.1:9000, localhost:9000, [::1]:9000 or db1.example.org:9000";
const ALLOWED_PORT = `a port from 1 to ${PORT_MAX}`;
const HOST_NAME = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/;

/** Reads `text` as an address. Accepts `host:port`, `:port` (every interface) and `[ipv6]:port`. */
export function parseAddress(text: string, options: AddressOptions = {}): Address | AddressProblem {
  const written =
    options.allowScheme === true
      ? text
          .trim()
          .replace(/^http:\/\//i, "")
          .replace(/\/$/, "")
      : text.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(written);
  if (scheme !== null) {
    return { problem: `begins with ${scheme[1]}://, which is not part of an address here`, allowed: ALLOWED_FORM };
  }
  if (written === "") {
    return { problem: "is empty", allowed: ALLOWED_FORM };
  }
  const split = splitHostPort(written);
  if ("problem" in split) {
    return split;
  }
  const host = split.host.toLowerCase();
  const wrongHost = hostProblem(host);
  if (wrongHost !== undefined) {
    return { problem: wrongHost, allowed: ALLOWED_FORM };
  }
  const port = split.port === undefined ? options.defaultPort : parsePort(split.port);
  if (port === undefined) {
    return split.port === undefined
      ? { problem: "has no port", allowed: ALLOWED_FORM }
      : { problem: `has the port '${split.port}'`, allowed: ALLOWED_PORT };
  }
  const plain = host === "" ? "0.0.0.0" : host;
  return { host: plain, port, canonical: joinAddress(canonicalHost(plain), port) };
}

/** Whether `host` (as in `Address.host`) is every interface of the machine: to listen on, but no place to dial. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Whether `host` reaches only the machine itself; every wildcard counts, since it is dialled as loopback. */
export function isLoopback(host: string): boolean {
  const canonical = canonicalHost(host);
  return canonical === "::1" || canonical.startsWith("127.");
}

/** `host:port`, IPv6 in brackets. */
export function joinAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function splitHostPort(text: string): { readonly host: string; readonly port: string | undefined } | AddressProblem {
  if (text.startsWith("[")) {
    const match = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
    if (match === null) {
      return { problem: "opens a bracket that does not end before the port", allowed: ALLOWED_FORM };
    }
    const host = match[1] ?? "";
    return host.includes(":") ? { host, port: match[2] } : { problem: "has brackets around what is not IPv6", allowed: ALLOWED_FORM };
  }
  const parts = text.split(":");
  if (parts.length > 2) {
    return { problem: "has more than one colon: IPv6 goes in brackets", allowed: ALLOWED_FORM };
  }
  return { host: parts[0] ?? "", port: parts[1] };
}

function parsePort(text: string): number | undefined {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= PORT_MAX ? port : undefined;
}

function hostProblem(host: string): string | undefined {
  if (host === "") {
    return undefined;
  }
  if (host.includes(":")) {
    return isIpv6(host) ? undefined : `has the host '${host}', which is not an IPv6 address`;
  }
  if (/^[0-9.]+$/.test(host)) {
    return isIpv4(host) ? undefined : `has the host '${host}', which is not an IPv4 address`;
  }
  if (host.length > HOST_LENGTH_MAX || !HOST_NAME.test(host)) {
    return `has the host '${host}', which is not a host name`;
  }
  return undefined;
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}

/** Groups of hex digits with at most one `::`; a trailing IPv4 part counts as two groups, a zone is not taken. */
function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) {
    return false;
  }
  let groups = 0;
  for (const [index, half] of halves.entries()) {
    const parts = half === "" ? [] : half.split(":");
    for (const [at, part] of parts.entries()) {
      const isLast = index === halves.length - 1 && at === parts.length - 1;
      if (isLast && part.includes(".")) {
        groups += isIpv4(part) ? 2 : Number.POSITIVE_INFINITY;
      } else {
        groups += /^[0-9a-f]{1,4}$/.test(part) ? 1 : Number.POSITIVE_INFINITY;
      }
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

function canonicalHost(host: string): string {
  if (host === "0.0.0.0" || host === "localhost" || host === "localhost.") {
    return "127.0.0.1";
  }
  return host === "::" ? "::1" : host;
}
