import type { Deps } from '../domain/deps.ts';
import type { OpenedMedia, Upload } from '../domain/media.ts';
import type { LiveSession } from '../domain/sessions.ts';
import type { MediaId } from '../ids.ts';
import type { Engine } from './execution/engine.ts';
import type { FormatError } from './execution/format-error.ts';
import type { Metrics } from './metrics.ts';
import type { RequestedDocuments } from './execution/requested-documents.ts';
import type { ActorRef, Session } from '../actor.ts';
import { setMaxListeners } from 'node:events';

/** What `app.ts` hands to every transport of the gateway. */
export interface Ports {
  /** For the resolvers' contexts. */
  readonly deps: Deps;
  readonly engine: Engine;
  readonly formatError: FormatError;
  readonly documents: RequestedDocuments;
  readonly metrics: Metrics;
  /** Who a token stands for, for one request. Throws UNAUTHENTICATED. */
  authenticate(token: string): Promise<Session>;
  /** The same for as long as a connection lives. */
  openSession(token: string): Promise<LiveSession>;
  /** The same with another token, for a connection that goes on. Throws FORBIDDEN for a token of another account. */
  renewSession(former: Session, token: string): Promise<LiveSession>;
  uploadMedia(actor: ActorRef, upload: Upload): Promise<unknown>;
  openMedia(actor: ActorRef, id: MediaId): Promise<OpenedMedia>;
}

/** A signal that is aborted, with the `EndReason`, when the session ends. A connection that rests does better without. */
export function signalOf(live: LiveSession): AbortSignal {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  live.onEnd((reason) => controller.abort(reason));
  return controller.signal;
}
