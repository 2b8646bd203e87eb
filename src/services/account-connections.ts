import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';
import type { ReportRefusal } from './refusals.ts';

/** Open connections of one account on this node, at about 10 KB each. */
export const MAX_ACCOUNT_CONNECTIONS = 5_000;

interface Connection {
  /** Closes the connection so that its client may connect again. */
  end(reason: 'SLOW'): void;
}

/** The connections of each account: WebSockets, event streams and legacy clients. */
export interface AccountConnections {
  /** Adds the newest connection of an account. Beyond the limit, the oldest is closed. */
  add(account: ActorRef, connection: Connection): void;
  remove(account: ActorRef, connection: Connection): void;
}

export interface AccountConnectionsOptions {
  readonly enabled: boolean;
  readonly max?: number;
  readonly reportRefusal?: ReportRefusal | undefined;
}

/**
 * Creates the count of this node. The oldest connection makes room: a client that is in use keeps its newest one, while the
 * oldest of so many has mostly been left open by mistake; and another client with a token cannot keep the owner out.
 */
export function createAccountConnections({
  enabled,
  max = MAX_ACCOUNT_CONNECTIONS,
  reportRefusal,
}: AccountConnectionsOptions): AccountConnections {
  /** Arrays, as most accounts have one connection: a Set takes several times the memory. Oldest first. */
  const connections = new Map<ActorKey, Connection[]>();
  return {
    add(account, connection) {
      if (!enabled) return;
      const key = actorKey(account);
      const own = connections.get(key);
      if (own === undefined) return void connections.set(key, [connection]);
      own.push(connection);
      if (own.length <= max) return;
      reportRefusal?.('account connections', { account });
      own.shift()?.end('SLOW');
    },
    remove(account, connection) {
      const key = actorKey(account);
      const own = connections.get(key);
      const index = own?.indexOf(connection) ?? -1;
      if (index >= 0) own?.splice(index, 1);
      if (own?.length === 0) connections.delete(key);
    },
  };
}
