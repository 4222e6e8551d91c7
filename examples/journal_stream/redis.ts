/** A Redis server for as long as it is needed, from Debian's packages, and the few commands spoken here. */
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import net from "node:net";
import { exists, unpackPackages } from "../../scripts/debian.ts";

/** What the server is made of. Its own C library comes along: the machine's may be older. */
const packages = [
  ...["redis-tools", "libatomic1", "libc6", "libhiredis1.1.0", "libjemalloc2", "liblua5.1-0"],
  ...["liblzf1", "libssl3t64", "libstdc++6", "libgcc-s1", "libsystemd0", "libcap2", "libzstd1"],
  ...["lua-bitop", "lua-cjson", "zlib1g"],
];

/** A server that was started. */
export interface Server extends AsyncDisposable {
  /** On the loopback interface. */
  readonly port: number;
}

/**
 * The command that starts a server: the machine's own, or one that is unpacked now.
 *
 * @throws {Error} If there is none to be had.
 */
export async function findServer(): Promise<string[]> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    if (folder !== "" && await exists(`${folder}/redis-server`)) return [`${folder}/redis-server`];
  }
  const cache = new URL("../../.cache", import.meta.url).pathname;
  const processor = { x86_64: "amd64", aarch64: "arm64" }[Deno.build.arch];
  const triplet = `${Deno.build.arch}-linux-gnu`;
  const root = `${cache}/redis`;
  await unpackPackages({ architecture: processor, packages, folder: root });
  const loader = { x86_64: "ld-linux-x86-64.so.2", aarch64: "ld-linux-aarch64.so.1" };
  const libraries = `${root}/usr/lib/${triplet}:${root}/lib/${triplet}`;
  return [
    ...[`${root}/usr/lib/${triplet}/${loader[Deno.build.arch]}`, "--library-path", libraries],
    // One program under several names: this one decides what it is.
    ...["--argv0", "redis-server", `${root}/usr/bin/redis-check-rdb`],
  ];
}

/** A port that is free just now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a server that keeps nothing on the disk. */
export async function startServer(command: readonly string[], folder: string): Promise<Server> {
  const [program = "", ...args] = command;
  const port = freePort();
  const child = spawn(program, [
    ...[...args, "--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder],
    ...["--save", "", "--appendonly", "no", "--daemonize", "no"],
  ], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise<void>((resolve) => {
    child.on("error", () => resolve());
    child.on("close", () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  const until = performance.now() + 20_000;
  for (;;) {
    try {
      await using client = await Client.connect(port);
      if (await client.call("PING") === "PONG") return { port, [Symbol.asyncDispose]: stop };
    } catch (error) {
      if (performance.now() > until || child.exitCode !== null) {
        await stop();
        throw new Error("Cannot start a Redis server", { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** What a server answers. */
export type Reply = string | number | null | Reply[] | Error;

/** The answer that some text begins with, and where it ends; undefined if it is not all there yet. */
function parse(bytes: Uint8Array, at: number): { reply: Reply; end: number } | undefined {
  const lineEnd = bytes.indexOf(13, at);
  if (lineEnd === -1 || lineEnd + 1 >= bytes.length) return undefined;
  const line = new TextDecoder().decode(bytes.subarray(at + 1, lineEnd));
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[at]!)) {
    case "+":
      return { reply: line, end };
    case "-":
      return { reply: new Error(line), end };
    case ":":
      return { reply: Number(line), end };
    case "$": {
      const length = Number(line);
      if (length < 0) return { reply: null, end };
      if (end + length + 2 > bytes.length) return undefined;
      const text = new TextDecoder().decode(bytes.subarray(end, end + length));
      return { reply: text, end: end + length + 2 };
    }
    default: {
      const replies: Reply[] = [];
      let next = end;
      for (let i = 0; i < Number(line); i++) {
        const item = parse(bytes, next);
        if (item === undefined) return undefined;
        replies.push(item.reply);
        next = item.end;
      }
      return { reply: replies, end: next };
    }
  }
}

/**
 * A connection that speaks {@link https://redis.io/docs/latest/develop/reference/protocol-spec/ | RESP}.
 * Calls may be made without waiting for the answers to those before.
 */
export class Client implements AsyncDisposable {
  readonly #socket: net.Socket;
  readonly #waiting: { resolve(reply: Reply): void; reject(error: Error): void }[] = [];
  #received: Uint8Array = new Uint8Array(0);

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay();
    socket.on("data", (bytes: Uint8Array) => this.#receive(bytes));
    socket.on("close", () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error("The server has gone"));
    });
    socket.on("error", () => {}); // "close" follows
  }

  /** Connects to a server on this machine. */
  static connect(port: number): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, "127.0.0.1");
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Client(socket)));
    });
  }

  /** Makes a call. @throws {Error} What the server says if it refuses. The promise is rejected. */
  call(...words: (string | Uint8Array)[]): Promise<Reply> {
    const encoder = new TextEncoder();
    const parts: Uint8Array[] = [encoder.encode(`*${words.length}`)];
    for (const word of words) {
      const bytes = typeof word === "string" ? encoder.encode(word) : word;
      parts.push(encoder.encode(`\r\n$${bytes.length}\r\n`), bytes);
    }
    this.#socket.write(Buffer.concat([...parts, encoder.encode("\r\n")]));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #receive(more: Uint8Array): void {
    const bytes = new Uint8Array(this.#received.length + more.length);
    bytes.set(this.#received);
    bytes.set(more, this.#received.length);
    let at = 0;
    for (;;) {
      const answer = at < bytes.length ? parse(bytes, at) : undefined;
      if (answer === undefined) break;
      at = answer.end;
      const waiting = this.#waiting.shift();
      if (answer.reply instanceof Error) waiting?.reject(answer.reply);
      else waiting?.resolve(answer.reply);
    }
    this.#received = bytes.subarray(at);
  }

  /** Ends the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.destroy();
    });
  }
}
