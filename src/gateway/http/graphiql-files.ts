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

const PATH = '/graphiql/';
const FOLDER = new URL('../../page/graphiql/', import.meta.url);

const JS = 'text/javascript; charset=utf-8';
const CSS = 'text/css; charset=utf-8';

/** The parts of `@graphql-yoga/render-graphiql`: the editor, its styles, and its workers by their labels. */
const EDITOR_PARTS = {
  'vendor/graphiql.js': 'js',
  'vendor/graphiql.css': 'css',
  'vendor/editorWorkerService.js': 'editorWorkerService',
  'vendor/graphql.js': 'graphqlWorker',
  'vendor/json.js': 'jsonWorker',
} as const;

const OWN_FILES = ['main.js', 'accounts.js', 'fetcher.js', 'storage.js', 'graphiql.css'];

/**
 * Returns the route of the files of GraphiQL. They have 9 MB: each is read at its first request, all responses share its buffer, and a
 * browser that has it receives 304.
 */
export function graphiqlRoute(): Route {
  const sources = new Map<string, () => Promise<Buffer>>();
  for (const name of OWN_FILES) sources.set(name, () => readFile(new URL(name, FOLDER)));
  for (const [name, url] of findPageModules()) sources.set(name, () => readFile(url));
  for (const [name, part] of Object.entries(EDITOR_PARTS))
    // Imported on first use: few requests are for the page.
    sources.set(name, async () =>
      Buffer.from((await import('@graphql-yoga/render-graphiql/graphiql'))[part]),
    );
  const files = new Map<string, Promise<FileContent>>();

  const read = (name: string, source: () => Promise<Buffer>): Promise<FileContent> => {
    const known = files.get(name) ?? readContent(name, source);
    files.set(name, known);
    known.catch(() => files.delete(name));
    return known;
  };
  return {
    path: PATH,
    methods: ['GET', 'HEAD'],
    async handle(request: IncomingMessage, response: ServerResponse) {
      const name = pathOf(request).slice(PATH.length);
      const source = sources.get(name);
      if (source === undefined) return sendHttpError(response, PATH_NOT_FOUND);
      await sendContent(request, response, await read(name, source));
    },
  };
}

const readContent = async (name: string, source: () => Promise<Buffer>): Promise<FileContent> =>
  createBufferContent(await source(), {
    'content-type': name.endsWith('.css') ? CSS : JS,
    'cache-control': 'no-cache',
    // Of the workers.
    'content-security-policy': contentSecurityPolicy([]),
  });
