import type { IncomingHttpHeaders } from 'node:http';
import { recogniseClient } from './engine-io/client-detection.ts';
import type { Query } from './engine-io/client-detection.ts';
import type { BridgeDeps } from './deps.ts';
import type { ActorRef } from '../actor.ts';
import { sameActor } from '../actor.ts';

/** The channel by which the report knows whoever only listens. */
export const CONNECT = 'connect';

/** Counts what one connection is used for: in metrics, and by day and account for the report. */
export interface UseCounter {
  /** An event came on a channel from the account that the connection now is. */
  event(channel: string, actor: ActorRef | undefined): void;
  /** The connection is alive: counted once a day, or when its account is another. */
  alive(actor: ActorRef | undefined): void;
}

interface Handshake {
  readonly query: Query;
  readonly headers: IncomingHttpHeaders;
}

export function createUseCounter(
  { metrics, uses }: Pick<BridgeDeps, 'metrics' | 'uses'>,
  { query, headers }: Handshake,
): UseCounter {
  const kind = recogniseClient(query, headers);
  const labels = { protocol: String(kind.protocol), library: kind.library };
  metrics.legacyConnections.inc(labels);
  let counted: { readonly day: number; readonly actor: ActorRef | undefined } | undefined;
  return {
    event(channel, account) {
      metrics.legacyEvents.inc({ channel, ...labels });
      uses.note({ channel, ...kind, account });
    },
    alive(actor) {
      const day = Math.floor(Date.now() / DAY_MS);
      const isSame = actor === undefined ? counted?.actor === undefined : sameActorAs(actor, counted?.actor);
      if (counted?.day === day && isSame) return;
      counted = { day, actor };
      uses.note({ channel: CONNECT, ...kind, account: actor });
    },
  };
}

const DAY_MS = 86_400_000;

const sameActorAs = (actor: ActorRef, other: ActorRef | undefined): boolean =>
  other !== undefined && sameActor(actor, other);
