import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config.ts';
import { DEFAULT_QUERY, PERSISTED_ONLY } from './graphiql-default-query.ts';
import { sendContent } from './send-content.ts';
import type { FileContent } from './send-content.ts';

/**
 * Creates the handler of the GraphiQL page. The page has 9 MB: it is rendered at the first request, all responses share
 * one buffer, and a browser that has it receives 304.
 */
export function createGraphiqlPage(
  config: Config,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  let content: Promise<FileContent> | undefined;
  return async (request, response) => sendContent(request, response, await (content ??= renderPage(config)));
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
  const body = Buffer.from(renderGraphiQL(page));
  return {
    size: body.length,
    etag: `"${createHash('sha256').update(body).digest('base64url')}"`,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'private, no-cache',
      'x-content-type-options': 'nosniff',
    },
    read: async (range) => (range === undefined ? body : body.subarray(range.start, range.end + 1)),
  };
}
