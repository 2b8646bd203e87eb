import type { ClientKind } from './engine-io/client-detection.ts';
import type { BridgeDeps } from './deps.ts';
import { actorKey } from '../actor.ts';
import type { ActorKey, ActorRef } from '../actor.ts';

/** The pseudo-channel under which connections are counted, so that the report includes clients that only listen. */
export const CONNECT_CHANNEL = 'connect';

const DAY_MS = 86_400_000;

/** Counts the usage of one connection: in metrics, and by day and account for the report. */
export interface UsageCounter {
  /** Counts an event, for the account that the connection belongs to after it. */
  countEvent(channel: string, actor: ActorRef | undefined): void;
  /** Counts the connection: once a day, and once more when its account changes. */
  countConnection(actor: ActorRef | undefined): void;
}

export function createUsageCounter(
  { metrics, usage }: Pick<BridgeDeps, 'metrics' | 'usage'>,
  kind: ClientKind,
): UsageCounter {
  const labels = { protocol: String(kind.protocol), library: kind.library };
  metrics.legacyConnections.inc(labels);
  let lastCount: { readonly day: number; readonly account: ActorKey | undefined } | undefined;
  return {
    countEvent(channel, actor) {
      metrics.legacyEvents.inc({ channel, ...labels });
      usage.record({ channel, ...kind, account: actor });
    },
    countConnection(actor) {
      const day = Math.floor(Date.now() / DAY_MS);
      const account = actor && actorKey(actor);
      if (lastCount?.day === day && lastCount.account === account) return;
      lastCount = { day, account };
      usage.record({ channel: CONNECT_CHANNEL, ...kind, account: actor });
    },
  };
}
