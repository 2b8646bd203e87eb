import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { pathOf } from './http.ts';
import type { Route } from './http.ts';
import { sendJson } from './respond.ts';

const FOLDER = new URL('../page/', import.meta.url);

/** What is served below `/page/`: a closed list, so that no path can lead elsewhere. */
const ASSETS: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'legacy-side.js': 'text/javascript; charset=utf-8',
  'graphql-side.js': 'text/javascript; charset=utf-8',
  'vendor/socket.io-1.3.6.js': 'text/javascript; charset=utf-8',
};

const SECURITY =
  "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'";

/** The page at `/`: plain files, no build, nothing from elsewhere. */
export function pageRoutes(): Route[] {
  const methods = ['GET', 'HEAD'];
  return [
    { path: '/', methods, handle: (_request, response) => send(response, 'index.html') },
    {
      path: '/page/',
      methods,
      handle: (request, response) => send(response, pathOf(request).slice('/page/'.length)),
    },
  ];
}

async function send(response: ServerResponse, name: string): Promise<void> {
  const type = ASSETS[name];
  if (type === undefined)
    return sendJson(response, 404, { message: 'There is nothing here.', code: 'NOT_FOUND' });
  const body = await readFile(new URL(name, FOLDER));
  response.writeHead(200, {
    'content-type': type,
    'content-length': body.length,
    'cache-control': 'no-cache',
    'content-security-policy': SECURITY,
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}
