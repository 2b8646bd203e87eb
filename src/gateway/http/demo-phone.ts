import { isOfDemoPage } from './demo-access.ts';
import type { DemoPolicy } from './demo-access.ts';
import type { PhoneListener } from './phone-listener.ts';
import { isUnpreflighted, PREFLIGHT_REQUIRED } from './preflight.ts';
import { drainRequest, sendHttpError, sendJson } from './respond.ts';
import type { HttpErrorResponse } from './respond.ts';
import type { Route } from './router.ts';

const UNAVAILABLE: HttpErrorResponse = {
  status: 403,
  code: 'FORBIDDEN',
  message: 'Only the page of the demo can open the gateway for a phone, on this machine.',
};

const NO_NETWORK: HttpErrorResponse = {
  status: 503,
  code: 'UNAVAILABLE',
  message: 'This machine has no address in a local network. Connect it to the network of the phone.',
};

const NO_PORT: HttpErrorResponse = {
  status: 503,
  code: 'UNAVAILABLE',
  message: 'The gateway could not listen in the local network: the system refused it.',
};

/**
 * Returns the route with which the demo on the page opens the gateway for a phone (POST), closes it (DELETE) and follows it
 * (GET). Refuses all requests without a `listener`, and those that are not of its page (`isOfDemoPage`).
 */
export const demoPhoneRoute = (listener: PhoneListener | undefined, policy: DemoPolicy): Route => ({
  path: '/demo/phone',
  methods: ['GET', 'HEAD', 'POST', 'DELETE'],
  async handle(request, response) {
    drainRequest(request);
    const isReading = request.method === 'GET' || request.method === 'HEAD';
    if (listener === undefined || !isOfDemoPage(request, policy))
      return isReading
        ? sendJson(response, 200, { isAvailable: false })
        : sendHttpError(response, UNAVAILABLE);
    if (isReading) return sendJson(response, 200, { isAvailable: true, ...listener.state() });
    if (isUnpreflighted(request)) return sendHttpError(response, PREFLIGHT_REQUIRED);
    if (request.method === 'DELETE') {
      await listener.close();
      return sendJson(response, 200, { isAvailable: true, ...listener.state() });
    }
    const opened = await listener.open();
    if (opened === 'no network') sendHttpError(response, NO_NETWORK);
    else if (opened === 'refused') sendHttpError(response, NO_PORT);
    else sendJson(response, 201, opened);
  },
});
