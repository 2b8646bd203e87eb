import { isOfDemoPage } from './demo-access.ts';
import type { DemoPolicy } from './demo-access.ts';
import { isUnpreflighted, PREFLIGHT_REQUIRED } from './preflight.ts';
import { drainRequest, sendHttpError, sendJson } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';
import type { Route } from './router.ts';

const UNAVAILABLE: HttpErrorResponse = {
  status: 403,
  code: 'FORBIDDEN',
  message: 'Only the demo can be restarted, from this machine, and only if its data is stored.',
};

/**
 * Returns the route with which the demo on the page restarts the gateway. Refuses all requests if `restart` is absent, and
 * those that are not of its page (`isOfDemoPage`).
 */
export const demoRestartRoute = (restart: (() => void) | undefined, policy: DemoPolicy): Route => ({
  path: '/demo/restart',
  methods: ['GET', 'HEAD', 'POST'],
  handle(request, response) {
    drainRequest(request);
    const isAvailable = restart !== undefined && isOfDemoPage(request, policy);
    if (request.method !== 'POST') return sendJson(response, 200, { isAvailable });
    if (!isAvailable) return sendHttpError(response, UNAVAILABLE);
    if (isUnpreflighted(request)) return sendHttpError(response, PREFLIGHT_REQUIRED);
    sendJson(response, 202, { isAvailable });
    restart();
  },
});
