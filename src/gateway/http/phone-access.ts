import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { digestOf, isSecret } from '../../lib/secret-digest.ts';
import { sendHttpError, sendJson } from './respond.ts';
import { NOT_ADMITTED } from './router.ts';
import type { Route } from './router.ts';

const COOKIE = 'parley_phone';
const KEY_BYTES = 16;

const PATH = '/demo/phone';
const PHONE_VIEW = '/?side=legacy';
/**
 * A redirect by the page, not by a status: a browser sends no `SameSite=Strict` cookie to the target of a redirect that began
 * on another site, such as a link of the demo or of a scanner.
 */
const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="0;url=${PHONE_VIEW}">
<title>Parley</title>
<p><a href="${PHONE_VIEW}">Continue as Bob</a></p>
`;

/** Admits one browser, by a key in its first URL that works once, and from then on by a cookie. */
export interface PhoneAccess {
  /** The path with the key. */
  readonly entrance: string;
  /** Whether a browser has used the key. */
  isUsed(): boolean;
  isAdmitted(request: IncomingMessage): boolean;
  /** The route that exchanges the key for the cookie, and tells a page that it is on the phone. */
  readonly route: Route;
}

const createSecret = (): string => randomBytes(KEY_BYTES).toString('base64url');

const keyOf = ({ url = '' }: IncomingMessage): string | null =>
  new URLSearchParams(/\?(.*)/.exec(url)?.[1]).get('key');

function cookieOf({ headers: { cookie = '' } }: IncomingMessage): string | undefined {
  const pairs = cookie.split(';').map((pair) => pair.trim().split('='));
  return pairs.find(([name]) => name === COOKIE)?.[1];
}

/** Creates the access of one phone. Its cookie is valid for `lifetimeMs` at most. */
export function createPhoneAccess(lifetimeMs: number): PhoneAccess {
  const [key, secret] = [createSecret(), createSecret()];
  const [keyDigest, secretDigest] = [digestOf(key), digestOf(secret)];
  let isUsed = false;
  const isAdmitted = (request: IncomingMessage): boolean => isSecret(cookieOf(request) ?? '', secretDigest);
  return {
    entrance: `${PATH}?key=${key}`,
    isUsed: () => isUsed,
    isAdmitted,
    route: {
      path: PATH,
      methods: ['GET'],
      isEntrance: (request) => request.method === 'GET' && keyOf(request) !== null,
      handle(request, response) {
        const sentKey = keyOf(request);
        if (sentKey === null) return sendJson(response, 200, { isAvailable: false, isPhone: true });
        if (!isAdmitted(request)) {
          if (isUsed || !isSecret(sentKey, keyDigest)) return sendHttpError(response, NOT_ADMITTED);
          isUsed = true;
          const seconds = Math.ceil(lifetimeMs / 1_000);
          response.setHeader(
            'set-cookie',
            `${COOKIE}=${secret}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${seconds}`,
          );
        }
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
        response.end(PAGE);
      },
    },
  };
}
