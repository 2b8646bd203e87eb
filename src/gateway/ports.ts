import type { Actor, Session } from '../domain/actor.ts';
import type { Deps } from '../domain/deps.ts';
import type { OpenedMedia, Upload } from '../domain/media.ts';
import type { LiveSession } from '../domain/sessions.ts';
import type { MediaId } from '../ids.ts';
import type { Engine } from './engine.ts';
import type { FormatError } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { RequestedDocuments } from './requested-document.ts';

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
  uploadMedia(actor: Actor, upload: Upload): Promise<unknown>;
  openMedia(actor: Actor, id: MediaId): Promise<OpenedMedia>;
}
