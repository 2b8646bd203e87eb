import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { findPageModules } from './page-modules.ts';
import { pathOf } from './request-head.ts';
import { sendHttpError } from './respond.ts';
import { contentSecurityPolicy } from './response-headers.ts';
import { PATH_NOT_FOUND } from './router.ts';
import type { Route } from './router.ts';
import { createBufferContent, sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';

const FOLDER = new URL('../../page/', import.meta.url);

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  json: 'application/json; charset=utf-8',
  svg: 'image/svg+xml',
  woff2: 'font/woff2',
  yaml: 'application/yaml; charset=utf-8',
} as const;

/** Asks for the token of operators itself. */
export const OPERATORS_PAGE = '/admin';

/** Pages outside `/page/`, by path; file names are relative to the folder. */
const PAGES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', TYPES.html],
  '/channels': ['channels.html', TYPES.html],
  '/asyncapi.yaml': ['../../asyncapi.yaml', TYPES.yaml],
  [OPERATORS_PAGE]: ['admin/index.html', TYPES.html],
};

/** Finds the files served below `/page/`, with their types. A closed list, so that no path can escape the folder. */
function findAssets(): Map<string, string> {
  const types: Readonly<Record<string, string | undefined>> = TYPES;
  const names = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).map((name) =>
    name.replaceAll('\\', '/'),
  );
  return new Map(
    names.flatMap((name) => {
      const type = types[name.slice(name.lastIndexOf('.') + 1)];
      return type === undefined || name === PAGES[OPERATORS_PAGE]?.[0] ? [] : [[name, type] as const];
    }),
  );
}

const SECURITY = contentSecurityPolicy([
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  // Older browsers do not match 'self' with WebSockets (https://github.com/w3c/webappsec-csp/issues/7).
  "connect-src 'self' ws: wss:",
]);

/** Returns the routes of the pages `/`, `/channels` and `/admin`, and of their files. */
export function pageRoutes(): Route[] {
  const read = createReader();
  const [assets, modules] = [findAssets(), findPageModules()];
  const methods = ['GET', 'HEAD'];
  const pages = Object.entries(PAGES).map(([path, [file, type]]) => ({
    path,
    methods,
    ...(path === OPERATORS_PAGE && { isForOperators: 'page' as const }),
    handle: async (request: IncomingMessage, response: ServerResponse) =>
      sendContent(request, response, await read(new URL(file, FOLDER), type)),
  }));
  return [...pages, { path: '/page/', methods, handle: sendAsset }];

  async function sendAsset(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = pathOf(request).slice('/page/'.length);
    const module = modules.get(name);
    const type = module === undefined ? assets.get(name) : TYPES.js;
    if (type === undefined) return sendHttpError(response, PATH_NOT_FOUND);
    await sendContent(request, response, await read(module ?? new URL(name, FOLDER), type));
  }
}

/** Creates a reader that caches each file, so that many requests open few files. */
function createReader(): (file: URL, type: string) => Promise<FileContent> {
  const files = new Map<string, Promise<FileContent>>();
  return (file, type) => {
    const known = files.get(file.href) ?? readPageFile(file, type);
    files.set(file.href, known);
    known.catch(() => files.delete(file.href));
    return known;
  };
}

const readPageFile = async (file: URL, type: string): Promise<FileContent> =>
  createBufferContent(await readFile(file), {
    'content-type': type,
    'cache-control': 'no-cache',
    'content-security-policy': SECURITY,
  });
