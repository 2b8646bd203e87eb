import { setImmediate } from 'node:timers/promises';
import type { ActorKey } from '../../actor.ts';
import { asciiJson } from '../../lib/ascii-json.ts';
import type {
  ConnectionTransport,
  ListConnections,
  LiveConnection,
  LiveSubscription,
} from '../../live-connections.ts';
import { comparePlaces, placeOf } from './connection-page.ts';
import { listForMerge } from './topic-counts.ts';
import type { TopicCount } from './topic-counts.ts';
import type {
  ConnectionFilter,
  ConnectionPage,
  ConnectionPlace,
  ConnectionQuery,
  ConnectionView,
} from './connection-page.ts';

/** Time that a search through all connections may take in one turn of the event loop. */
const TURN_MS = 5;
/** Subscriptions of a connection in a list. */
const MAX_LISTED_SUBSCRIPTIONS = 20;
/**
 * Bytes of a page on the bus, which carries it in ASCII, and of the subscriptions of a connection. A page has at least one
 * connection, and fewer than asked for if they are long.
 */
const MAX_LENGTH = 256 * 1024;

/** Open connections with the same transport and protocol, and of the same Socket.IO library. */
export interface ConnectionCount {
  readonly transport: ConnectionTransport;
  readonly protocol: string;
  readonly client?: string | undefined;
  readonly count: number;
}

/** How an end of a subscription went. It is `untold` if its client would have missed events without knowing. */
export type SubscriptionEnd = 'ended' | 'unknown' | 'untold';

export interface NodeConnectionsOptions {
  readonly nodeId: string;
  readonly nodeName?: string | undefined;
  readonly maxPageLength?: number;
}

/** The open connections of this node, of all transports, for operators. */
export class NodeConnections {
  readonly #options: NodeConnectionsOptions;
  readonly #lists: ListConnections[] = [];

  constructor(options: NodeConnectionsOptions) {
    this.#options = options;
  }

  /** Adds the connections of a transport. */
  add(list: ListConnections): void {
    this.#lists.push(list);
  }

  /** Returns the next connections after a place. Only those are built. */
  async page({ orderBy, first, after, ...filter }: ConnectionQuery): Promise<ConnectionPage> {
    const next: { readonly place: ConnectionPlace; readonly connection: LiveConnection }[] = [];
    await this.#forEach(filter, (connection) => {
      const place = placeOf(connection, orderBy);
      const last = next[first];
      if (after !== undefined && comparePlaces(place, after) <= 0) return;
      if (last !== undefined && comparePlaces(place, last.place) >= 0) return;
      const index = next.findIndex((other) => comparePlaces(place, other.place) < 0);
      next.splice(index < 0 ? next.length : index, 0, { place, connection });
      next.length = Math.min(next.length, first + 1);
    });
    const { maxPageLength = MAX_LENGTH } = this.#options;
    const connections: ConnectionView[] = [];
    let length = 0;
    for (const { place, connection } of next.slice(0, first)) {
      const view = this.#describe(connection, place, { topic: filter.topic });
      length += lengthOf(view);
      if (length > maxPageLength && connections.length > 0) break;
      connections.push(view);
    }
    return { connections, hasMore: next.length > connections.length };
  }

  /** Returns a connection with its subscriptions, as many as fit. */
  async find(id: string): Promise<ConnectionView | undefined> {
    const connection = await this.#find(id);
    return connection && this.#describe(connection, placeOf(connection, 'SINCE'), { max: Infinity });
  }

  /** Closes a connection. Returns it as it was. */
  async end(id: string): Promise<ConnectionView | undefined> {
    const connection = await this.#find(id);
    const view = connection && this.#describe(connection, placeOf(connection, 'SINCE'), {});
    connection?.end();
    return view;
  }

  /** Closes the connections of an account. Returns their number. */
  async endOf(account: ActorKey): Promise<number> {
    let count = 0;
    await this.#forEach({ account }, (connection) => {
      connection.end();
      count += 1;
    });
    return count;
  }

  /** Ends a subscription. Undefined if the connection is not of this node. */
  async endSubscription(connectionId: string, id: string): Promise<SubscriptionEnd | undefined> {
    const connection = await this.#find(connectionId);
    if (connection === undefined) return undefined;
    const isEnded = connection.endSubscription(id);
    if (isEnded === undefined) return 'untold';
    return isEnded ? 'ended' : 'unknown';
  }

  /** Counts the connections by transport, protocol, and library of Socket.IO. */
  async count(): Promise<readonly ConnectionCount[]> {
    const counts = new Map<string, ConnectionCount>();
    await this.#forEach({}, ({ transport, protocol, client }) => {
      // User agents are too many to count each.
      const library = transport === 'socket.io' ? client : undefined;
      const key = [transport, protocol, library].join();
      counts.set(key, { transport, protocol, client: library, count: (counts.get(key)?.count ?? 0) + 1 });
    });
    return [...counts.values()];
  }

  /** Counts the subscriptions and rooms of each topic, for `mergeTopics`. */
  async countTopics(first: number): Promise<readonly TopicCount[]> {
    const counts = new Map<string, number>();
    await this.#forEach({}, (connection) => {
      for (const { topic } of connection.subscriptions())
        if (topic !== undefined) counts.set(topic, (counts.get(topic) ?? 0) + 1);
    });
    return listForMerge(counts, first);
  }

  async #find(id: string): Promise<LiveConnection | undefined> {
    let found: LiveConnection | undefined;
    await this.#forEach({}, (connection) => {
      if (connection.id === id) found = connection;
    });
    return found;
  }

  /** Calls back with the connections that match, in turns of the event loop: there may be tens of thousands. */
  async #forEach(
    { account, transport, topic }: ConnectionFilter,
    visit: (connection: LiveConnection) => void,
  ): Promise<void> {
    let turnEndsAt = performance.now() + TURN_MS;
    for (const list of this.#lists)
      for (const connection of list()) {
        if (performance.now() > turnEndsAt) {
          await setImmediate();
          turnEndsAt = performance.now() + TURN_MS;
        }
        const isWanted =
          (transport === undefined || connection.transport === transport) &&
          (account === undefined || connection.isOf(account)) &&
          (topic === undefined || hasTopic(connection, topic));
        if (isWanted) visit(connection);
      }
  }

  #describe(
    connection: LiveConnection,
    place: ConnectionPlace,
    { topic, max = MAX_LISTED_SUBSCRIPTIONS }: { readonly topic?: string | undefined; readonly max?: number },
  ): ConnectionView {
    const { nodeId, nodeName } = this.#options;
    const { transport, protocol, client, address, account, openedAt, waitingBytes, behind } = connection;
    const subscriptions = [...connection.subscriptions()].sort(
      (a, b) => Number(b.topic === topic) - Number(a.topic === topic) || (b.behind ?? 0) - (a.behind ?? 0),
    );
    return {
      place,
      nodeId,
      nodeName,
      transport,
      protocol,
      client,
      address,
      account,
      openedAt,
      waitingBytes,
      behind,
      subscriptions: takeFitting(subscriptions, max),
      subscriptionCount: subscriptions.length,
    };
  }
}

const lengthOf = (value: ConnectionView | LiveSubscription): number =>
  asciiJson(JSON.stringify(value)).length;

/** Returns the first subscriptions: so many, or those that fit into `MAX_LENGTH`. */
function takeFitting(subscriptions: readonly LiveSubscription[], max: number): readonly LiveSubscription[] {
  let length = 0;
  const end = subscriptions.findIndex((subscription, index) => {
    if (index >= max) return true;
    length += lengthOf(subscription);
    return length > MAX_LENGTH;
  });
  return end < 0 ? subscriptions : subscriptions.slice(0, end);
}

function hasTopic(connection: LiveConnection, topic: string): boolean {
  for (const subscription of connection.subscriptions()) if (subscription.topic === topic) return true;
  return false;
}
