import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createBufferContent, sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';
import { contentSecurityPolicy } from './response-headers.ts';

export interface GraphiqlOptions {
  readonly title: string;
  /** The path to which it sends operations. */
  readonly endpoint: string;
  readonly defaultQuery: string;
}

/**
 * Creates the handler of a GraphiQL page. The page has 9 MB: it is rendered at the first request, all responses share
 * one buffer, and a browser that has it receives 304.
 */
export function createGraphiqlHandler(
  options: GraphiqlOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  let content: Promise<FileContent> | undefined;
  const read = (): Promise<FileContent> => {
    const known = content ?? renderPage(options);
    content = known;
    known.catch(() => (content = undefined));
    return known;
  };
  return async (request, response) => sendContent(request, response, await read());
}

async function renderPage({ title, endpoint, defaultQuery }: GraphiqlOptions): Promise<FileContent> {
  // Imported on first use: few requests are for the page.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const page = {
    subscriptionsProtocol: 'WS',
    title,
    endpoint,
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
