import type { ClientKind } from './engine-io/client-detection.ts';
import type { BridgeDeps } from './deps.ts';
import type { ActorRef } from '../actor.ts';
import { sameActor } from '../actor.ts';

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
  let lastCount: { readonly day: number; readonly actor: ActorRef | undefined } | undefined;
  return {
    countEvent(channel, account) {
      metrics.legacyEvents.inc({ channel, ...labels });
      usage.record({ channel, ...kind, account });
    },
    countConnection(actor) {
      const day = Math.floor(Date.now() / DAY_MS);
      const isSame =
        actor === undefined ? lastCount?.actor === undefined : isSameActor(actor, lastCount?.actor);
      if (lastCount?.day === day && isSame) return;
      lastCount = { day, actor };
      usage.record({ channel: CONNECT_CHANNEL, ...kind, account: actor });
    },
  };
}

const isSameActor = (actor: ActorRef, other: ActorRef | undefined): boolean =>
  other !== undefined && sameActor(actor, other);
