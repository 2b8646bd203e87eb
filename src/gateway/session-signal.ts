import { setMaxListeners } from 'node:events';
import type { LiveSession } from '../domain/sessions.ts';

/** A signal that is aborted, with the `EndReason`, when the session ends. A connection that rests does better without. */
export function signalOf(live: LiveSession): AbortSignal {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  live.onEnd((reason) => controller.abort(reason));
  return controller.signal;
}
