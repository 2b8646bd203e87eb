import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';

/** Anonymous TCP connections, at about 10 KB each: a third of the memory that strangers may occupy. */
const MAX_ANONYMOUS = 6_000;
/** Anonymous TCP connections of one address. A proxy that is trusted counts as no address. */
const MAX_ANONYMOUS_PER_ADDRESS = 5_000;
/** Connections of one account that are safe from strangers: further ones count as anonymous. */
const MAX_PER_ACCOUNT = 5_000;

export interface ConnectionSlotsOptions {
  /** Most open TCP connections. */
  readonly max: number;
  readonly maxAnonymous?: number;
  readonly maxAnonymousPerAddress?: number;
  readonly maxPerAccount?: number;
  /** Whether the peer is a proxy, whose connections are those of many clients. */
  readonly isProxy: (address: string) => boolean;
  /** Called with the address of a connection that was closed to stay within a limit. */
  readonly onRefused: (address: string) => void;
}

/**
 * Limits the open TCP connections. One is anonymous until a valid token arrives on it. At a limit, the oldest anonymous
 * connection makes room for the newest: a client that logs in does so soon after connecting, and keeps the connection,
 * however many connections strangers open. Only when all are logged in is the newest refused.
 */
export class ConnectionSlots {
  readonly #options: Required<ConnectionSlotsOptions>;
  /** The open connections, each with its account, or with its address while it is anonymous. */
  readonly #open = new Map<Duplex, string>();
  readonly #countByAccount = new Map<string, number>();
  /** In the order of their arrival, as are the sets of `#byAddress`. */
  readonly #anonymous = new Set<Duplex>();
  readonly #byAddress = new Map<string, Set<Duplex>>();
  /** One listener for all sockets, which idle connections would otherwise spend memory on. */
  readonly #onClose: (this: Duplex) => void;

  constructor(options: ConnectionSlotsOptions) {
    this.#options = {
      maxAnonymous: MAX_ANONYMOUS,
      maxAnonymousPerAddress: MAX_ANONYMOUS_PER_ADDRESS,
      maxPerAccount: MAX_PER_ACCOUNT,
      ...options,
    };
    const remove = (socket: Duplex): void => this.#remove(socket);
    this.#onClose = function onClose() {
      remove(this);
    };
  }

  get openCount(): number {
    return this.#open.size;
  }

  get anonymousCount(): number {
    return this.#anonymous.size;
  }

  /** Counts a new connection until it closes. Destroys it, or an older one, to stay within the limits. */
  add(socket: Socket): void {
    const { max, maxAnonymous, maxAnonymousPerAddress, isProxy } = this.#options;
    const address = socket.remoteAddress ?? '';
    if (this.#open.size >= max && this.#anonymous.size === 0) return this.#refuse(socket, address);
    const ofAddress = this.#byAddress.get(address);
    if (ofAddress !== undefined && ofAddress.size >= maxAnonymousPerAddress) this.#refuseOldest(ofAddress);
    else if (this.#open.size >= max || this.#anonymous.size >= maxAnonymous)
      this.#refuseOldest(this.#anonymous);
    this.#open.set(socket, address);
    this.#anonymous.add(socket);
    // Not `ofAddress`, which is discarded when its last connection has made room.
    if (!isProxy(address)) this.#socketsOf(address).add(socket);
    socket.on('close', this.#onClose);
  }

  /** Marks a connection as that of an account, for as long as it is open, unless the account has too many. */
  identify(socket: Duplex, account: ActorRef): void {
    this.identifyAs(socket, actorKey(account));
  }

  /** Marks a connection as that of an owner with a key of its own. */
  identifyAs(socket: Duplex, key: string): void {
    const address = this.#open.get(socket);
    if (address === undefined || !this.#anonymous.has(socket)) return;
    const count = this.#countByAccount.get(key) ?? 0;
    const { isProxy, maxPerAccount } = this.#options;
    if (count >= maxPerAccount && !isProxy(address)) return;
    this.#removeAnonymous(socket, address);
    this.#open.set(socket, key);
    this.#countByAccount.set(key, count + 1);
  }

  destroyAll(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  #socketsOf(address: string): Set<Duplex> {
    let sockets = this.#byAddress.get(address);
    if (sockets === undefined) this.#byAddress.set(address, (sockets = new Set()));
    return sockets;
  }

  #refuseOldest(sockets: ReadonlySet<Duplex>): void {
    const [oldest] = sockets;
    if (oldest === undefined) return;
    const address = this.#open.get(oldest) ?? '';
    // `close` is emitted later.
    this.#remove(oldest);
    this.#refuse(oldest, address);
  }

  #refuse(socket: Duplex, address: string): void {
    this.#options.onRefused(address);
    socket.destroy();
  }

  #remove(socket: Duplex): void {
    const owner = this.#open.get(socket);
    if (owner === undefined) return;
    this.#open.delete(socket);
    if (this.#anonymous.has(socket)) return this.#removeAnonymous(socket, owner);
    const remaining = (this.#countByAccount.get(owner) ?? 1) - 1;
    if (remaining === 0) this.#countByAccount.delete(owner);
    else this.#countByAccount.set(owner, remaining);
  }

  #removeAnonymous(socket: Duplex, address: string): void {
    this.#anonymous.delete(socket);
    const ofAddress = this.#byAddress.get(address);
    ofAddress?.delete(socket);
    if (ofAddress?.size === 0) this.#byAddress.delete(address);
  }
}
