import type { ActorKey } from '../../actor.ts';
import type { ConnectionTransport, LiveConnection, LiveSubscription } from '../../live-connections.ts';

/** The order of connections: the oldest first, or those first that are furthest behind. */
export type ConnectionOrder = 'SINCE' | 'BEHIND' | 'WAITING_BYTES';

/** A place in the order of connections: after all with a lesser value, or the same value and a lesser id. */
export interface ConnectionPlace {
  readonly value: number;
  readonly id: string;
}

export interface ConnectionFilter {
  readonly account?: ActorKey | undefined;
  readonly transport?: ConnectionTransport | undefined;
  readonly topic?: string | undefined;
}

export interface ConnectionQuery extends ConnectionFilter {
  readonly orderBy: ConnectionOrder;
  readonly first: number;
  readonly after: ConnectionPlace | undefined;
}

/** An open connection at the time of the query. JSON. */
export interface ConnectionView {
  readonly place: ConnectionPlace;
  readonly nodeId: string;
  readonly nodeName?: string | undefined;
  readonly transport: ConnectionTransport;
  readonly protocol: string;
  readonly client?: string | undefined;
  readonly address: string;
  readonly account?: ActorKey | undefined;
  readonly openedAt: number;
  readonly waitingBytes: number;
  readonly behind: number;
  /** The ones that are furthest behind, and how many there are in all. */
  readonly subscriptions: readonly LiveSubscription[];
  readonly subscriptionCount: number;
}

/** The next connections after a place, of one or of several nodes. */
export interface ConnectionPage {
  readonly connections: readonly ConnectionView[];
  readonly hasMore: boolean;
}

/** Returns the place of a connection. Those with the greatest value of `BEHIND` and `WAITING_BYTES` are first. */
export function placeOf(connection: LiveConnection, orderBy: ConnectionOrder): ConnectionPlace {
  const { id } = connection;
  switch (orderBy) {
    case 'SINCE':
      return { value: connection.openedAt, id };
    case 'BEHIND':
      return { value: -connection.behind, id };
    case 'WAITING_BYTES':
      return { value: -connection.waitingBytes, id };
  }
}

export const comparePlaces = (a: ConnectionPlace, b: ConnectionPlace): number =>
  a.value - b.value || (a.id < b.id ? -1 : Number(a.id > b.id));

/**
 * Merges the pages of several nodes. A node that has more than it returned may have more before what the others returned:
 * nothing after its last connection is part of the result.
 */
export function mergePages(pages: readonly ConnectionPage[], first: number): ConnectionPage {
  const ends = pages.flatMap(({ connections, hasMore }) => (hasMore ? connections.slice(-1) : []));
  const isBeforeEnds = ({ place }: ConnectionView) =>
    ends.every((end) => comparePlaces(place, end.place) <= 0);
  const merged = pages
    .flatMap(({ connections }) => connections)
    .sort((a, b) => comparePlaces(a.place, b.place))
    .filter(isBeforeEnds);
  const hasMore = pages.some((page) => page.hasMore) || merged.length > first;
  return { connections: merged.slice(0, first), hasMore };
}
