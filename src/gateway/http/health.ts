import { withTimeout } from '../../lib/timeout.ts';
import type { Logger } from '../../log.ts';
import type { Route } from './router.ts';
import { sendJson } from './respond.ts';

export interface HealthOptions {
  /** Throws when the database is unreachable. */
  pingDatabase(): Promise<void>;
  /** Why the node works less well than it should; undefined if it does not. */
  degradation(): string | undefined;
  readonly log: Logger;
}

const PING_TIMEOUT_MS = 2_000;

export interface Health {
  /** `/healthz` for liveness and `/readyz` for readiness. */
  readonly routes: readonly Route[];
  /** Whether `/readyz` responds with 200. */
  isReady(): Promise<boolean>;
  /** Makes `/readyz` fail, because the process is about to stop. */
  drain(): void;
}

export function createHealth({ pingDatabase, degradation, log }: HealthOptions): Health {
  let isDraining = false;
  const readiness = async (): Promise<{ status: number; state: string; reason?: string }> => {
    if (isDraining) return { status: 503, state: 'draining' };
    try {
      await withTimeout(PING_TIMEOUT_MS, pingDatabase());
    } catch (error) {
      log.warn({ err: error }, 'not ready: database unreachable');
      return { status: 503, state: 'database unreachable' };
    }
    const reason = degradation();
    return reason === undefined
      ? { status: 200, state: 'ready' }
      : { status: 200, state: 'degraded', reason };
  };
  const methods = ['GET', 'HEAD'];
  return {
    drain: () => void (isDraining = true),
    isReady: async () => (await readiness()).status === 200,
    routes: [
      {
        path: '/healthz',
        methods,
        anyHost: true,
        handle: (_request, response) => sendJson(response, 200, { state: 'alive' }),
      },
      {
        path: '/readyz',
        methods,
        anyHost: true,
        async handle(_request, response) {
          const { status, ...body } = await readiness();
          sendJson(response, status, body);
        },
      },
    ],
  };
}
