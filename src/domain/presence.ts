import { findOnlineInCircle } from '../db/presence.ts';
import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import type { EphemeralStream } from '../events/ephemeral-stream.ts';
import { circleTopic, refOf } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import type { CircleId } from '../ids.ts';
import { requireCircle } from './circles.ts';
import type { Deps } from './deps.ts';
import type { Session } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** Who of a circle is online, or no longer. */
export interface PresenceChange {
  readonly actor: ActorView;
  readonly online: boolean;
}

/**
 * Opens a reader of who is online in a circle: first one item for each actor who is, then every change. Only an
 * actor's newest change waits for a slow reader. Who joins and leaves the circle itself is told by its events.
 */
export async function openPresence(
  deps: Deps,
  session: Session,
  { circleId }: { readonly circleId: CircleId },
  signal?: AbortSignal,
): Promise<EphemeralStream<PresenceChange>> {
  return openEphemeralStream<PresenceChange>(deps, {
    topic: circleTopic(circleId),
    actor: session.actor,
    signal,
    async authorise() {
      await requireCircle(deps, session.actor, circleId);
    },
    pick: (ephemeral) =>
      ephemeral.type === 'presence' ? { actor: ephemeral.actor, online: ephemeral.online } : undefined,
    key: (change) => actorKey(refOf(change.actor)),
    async begin() {
      const actors = await findOnlineInCircle(deps.db, circleId);
      return { items: actors.map((actor) => ({ actor, online: true })) };
    },
  });
}
