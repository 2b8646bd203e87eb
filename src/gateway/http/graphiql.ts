import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config.ts';
import { DEFAULT_QUERY, PERSISTED_ONLY } from './graphiql-default-query.ts';
import { createBufferContent, sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';
import { contentSecurityPolicy } from './response-headers.ts';

/**
 * Creates the handler of the GraphiQL page. The page has 9 MB: it is rendered at the first request, all responses share
 * one buffer, and a browser that has it receives 304.
 */
export function createGraphiqlHandler(
  config: Config,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  let content: Promise<FileContent> | undefined;
  const read = (): Promise<FileContent> => {
    const known = content ?? renderPage(config);
    content = known;
    known.catch(() => (content = undefined));
    return known;
  };
  return async (request, response) => sendContent(request, response, await read());
}

async function renderPage({ OPERATIONS }: Config): Promise<FileContent> {
  // Imported on first use: few requests are for the page.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const defaultQuery = OPERATIONS === 'persisted' ? PERSISTED_ONLY : DEFAULT_QUERY;
  const page = {
    subscriptionsProtocol: 'WS',
    title: 'Parley',
    logo: '<img src="/page/icon.svg" alt="" width="32" height="32">',
    favicon: '/page/icon.svg',
    defaultQuery,
    // `defaultQuery` alone leaves an empty tab in a browser that has stored tabs of an earlier visit.
    query: defaultQuery,
  } as const;
  const html = renderGraphiQL(page);
  return createBufferContent(Buffer.from(html), {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'private, no-cache',
    'content-security-policy': contentSecurityPolicy([
      `script-src ${hashesOfScripts(html).join(' ')}`,
      // The editor inserts styles, embeds its fonts and images, and runs its workers from blobs.
      "style-src 'unsafe-inline'",
      'worker-src blob:',
      'font-src data:',
      "img-src 'self' data:",
      "connect-src 'self' ws: wss:",
    ]),
  });
}

/** Returns a CSP source for each inline script, so that no other script runs. */
const hashesOfScripts = (html: string): string[] =>
  [...html.matchAll(/<script[^>]*>([^]*?)<\/script>/g)].map(
    ([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  );
