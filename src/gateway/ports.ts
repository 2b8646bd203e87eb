import { setMaxListeners } from 'node:events';
import type { ActorKey, ActorRef, Session } from '../actor.ts';
import type { Deps } from '../domain/deps.ts';
import type { OpenedMedia } from '../domain/media-downloads.ts';
import type { Upload } from '../domain/media.ts';
import type { ResumableUploads } from '../domain/resumable-uploads.ts';
import type { LiveSession } from '../domain/sessions.ts';
import type { MediaId } from '../ids.ts';
import type { ByteLedgers } from '../lib/byte-ledger.ts';
import type { SilenceWatch } from '../lib/silence-watch.ts';
import type { TurnClock } from '../lib/turn-clock.ts';
import type { TurnEnd } from '../lib/turn-end.ts';
import type { AddressOf } from './client-address.ts';
import type { NextConnectionId } from './connection-ids.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import type { Engine } from './execution/engine.ts';
import type { FormatError } from './execution/format-error.ts';
import type { DocumentResolver } from './execution/document-resolver.ts';
import type { Metrics } from './metrics.ts';

/** Dependencies of the gateway's transports, built by `app.ts`. */
export interface Ports {
  /** For the contexts of resolvers. */
  readonly deps: Deps;
  readonly engine: Engine;
  readonly formatError: FormatError;
  readonly documentResolver: DocumentResolver;
  readonly metrics: Metrics;
  readonly addressOf: AddressOf;
  readonly nextConnectionId: NextConnectionId;
  readonly turnClock: TurnClock;
  readonly turnEnd: TurnEnd;
  readonly connectionSlots: ConnectionSlots;
  readonly silenceWatch: SilenceWatch;
  readonly ledgers: ByteLedgers;
  /** Verifies a token that a client at the address sent for one request. Throws UNAUTHENTICATED. */
  authenticate(token: string, address: string): Promise<Session>;
  /** Returns the account of a token that was valid when it was last verified; undefined for others, and for some of these. */
  findKnownAccount(token: string): ActorKey | undefined;
  /** Verifies a token and follows its session until that is closed. Throws UNAUTHENTICATED. */
  openSession(token: string, address: string): Promise<LiveSession>;
  /** Opens a session with a new token of the same account. Throws FORBIDDEN for a token of another account. */
  renewSession(former: Session, token: string, address: string): Promise<LiveSession>;
  uploadMedia(actor: ActorRef, upload: Upload): Promise<unknown>;
  readonly resumableUploads: ResumableUploads;
  openMedia(actor: ActorRef, id: MediaId): Promise<OpenedMedia>;
  /** Returns the account that a signed URL of the file was made for. Throws FORBIDDEN. */
  requireUrlHolder(id: MediaId, signature: string): Promise<ActorRef>;
  /** Opens a file for the holder of a signed URL. Throws FORBIDDEN. */
  openMediaByUrl(holder: ActorRef, id: MediaId): Promise<OpenedMedia>;
}

/** Returns a signal that the end of the session aborts, with its `EndReason`. Costs memory: not for idle connections. */
export function signalOf(liveSession: LiveSession): AbortSignal {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  liveSession.onEnd((reason) => controller.abort(reason));
  return controller.signal;
}
