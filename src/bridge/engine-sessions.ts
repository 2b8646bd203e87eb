import type { IncomingMessage } from 'node:http';
import type { Socket as EngineSocket } from 'engine.io';
import { accountKey } from '../actor.ts';
import type { ActorKey } from '../actor.ts';
import type { Holder } from '../lib/byte-ledger.ts';
import type { LegacyConnection } from './connection.ts';
import { internalsOf } from './engine-io/internals.ts';
import { sidOf } from './engine-io/server.ts';

/** The open Engine.IO sessions of this node, each with the legacy connection that it carries. */
export class EngineSessions {
  readonly #byId = new Map<string, EngineSocket>();
  readonly #byTransport = new WeakMap<object, EngineSocket>();
  /** Sessions whose client has never logged in, in the order of their arrival. */
  readonly #anonymous = new Set<EngineSocket>();
  readonly #connections = new WeakMap<EngineSocket, LegacyConnection>();
  readonly #addressOf: (request: IncomingMessage) => string;
  /** Addresses of clients that hold bytes: to parse one for each of their chunks is expensive. */
  readonly #addresses = new WeakMap<IncomingMessage, string>();

  constructor(addressOf: (request: IncomingMessage) => string) {
    this.#addressOf = addressOf;
  }

  add(conn: EngineSocket): void {
    this.#byId.set(sidOf(conn), conn);
    this.#byTransport.set(internalsOf(conn).transport, conn);
    this.#anonymous.add(conn);
    conn.on('upgrade', (transport: object) => this.#byTransport.set(transport, conn));
  }

  delete(conn: EngineSocket): void {
    this.#byId.delete(sidOf(conn));
    this.#anonymous.delete(conn);
  }

  setConnection(conn: EngineSocket, connection: LegacyConnection): void {
    this.#connections.set(conn, connection);
  }

  connectionOf(conn: EngineSocket): LegacyConnection | undefined {
    return this.#connections.get(conn);
  }

  /** Marks the session as that of a client that has logged in. */
  markAuthenticated(conn: EngineSocket): void {
    this.#anonymous.delete(conn);
  }

  /** Takes the oldest session off the list of those without a login, and returns it, if there are more than `max`. */
  takeExcess(max: number): EngineSocket | undefined {
    const [oldest] = this.#anonymous;
    if (oldest === undefined || this.#anonymous.size <= max) return undefined;
    this.#anonymous.delete(oldest);
    return oldest;
  }

  /** Returns the session of a polling request or upgrade; undefined for a handshake. */
  findByRequest({ url }: IncomingMessage): EngineSocket | undefined {
    return this.#byId.get(/[?&]sid=([^&]+)/.exec(url ?? '')?.[1] ?? '');
  }

  /** Returns the session that uses the transport; undefined during a handshake or an upgrade. */
  findByTransport(transport: object): EngineSocket | undefined {
    return this.#byTransport.get(transport);
  }

  /** Returns the client of the session; without one, that of the request, if it is known. */
  holderOf(conn: EngineSocket | undefined, request = conn?.request): Holder {
    return {
      account: conn && this.#connections.get(conn)?.actor,
      address: request && this.#findAddress(request),
    };
  }

  /** Returns the account as which the work of the session takes turns; undefined while it is anonymous. */
  flowOf(conn: EngineSocket | undefined): ActorKey | undefined {
    return accountKey(conn && this.#connections.get(conn)?.actor);
  }

  #findAddress(request: IncomingMessage): string {
    let address = this.#addresses.get(request);
    if (address === undefined) this.#addresses.set(request, (address = this.#addressOf(request)));
    return address;
  }

  [Symbol.iterator](): Iterator<EngineSocket> {
    return this.#byId.values();
  }
}
