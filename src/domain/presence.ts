import { findOnlineInCircle } from '../db/presence.ts';
import { openEphemeralStream } from '../events/ephemeral-stream.ts';
import type { EphemeralStream } from '../events/ephemeral-stream.ts';
import { circleTopic, actorRefOf } from '../events/event.ts';
import type { ActorView } from '../events/event.ts';
import type { CircleId } from '../ids.ts';
import { requireCircle } from './circles.ts';
import type { Deps } from './deps.ts';
import type { Session } from '../actor.ts';
import { actorKey } from '../actor.ts';

/** An actor of a circle that came online or went offline. */
export interface PresenceChange {
  readonly actor: ActorView;
  readonly online: boolean;
}

/**
 * Opens a stream of presence in a circle: first an item for each online actor, then every change. For a slow reader
 * only the newest change per actor is buffered. Joining and leaving the circle are among the circle's events.
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
    async authorize() {
      await requireCircle(deps, session.actor, circleId);
    },
    pick: (ephemeral) =>
      ephemeral.type === 'presence' ? { actor: ephemeral.actor, online: ephemeral.online } : undefined,
    key: (change) => actorKey(actorRefOf(change.actor)),
    async onAuthorized() {
      const actors = await findOnlineInCircle(deps.db, circleId);
      return { items: actors.map((actor) => ({ actor, online: true })) };
    },
  });
}
