import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendContent, createBufferContent } from './send-content.ts';
import { escapeHtml } from '../../lib/escape-html.ts';
import { contentSecurityPolicy } from './response-headers.ts';

export interface GraphiqlOptions {
  readonly title: string;
  /** The path to which it sends operations. */
  readonly endpoint: string;
  readonly defaultQuery: string;
  /** Shown at first, as JSON. */
  readonly defaultVariables?: string;
  /** E-mails of the demo accounts, as one of which a visitor logs in with a click. */
  readonly accounts: readonly string[];
}

/** Creates the handler of a GraphiQL page. Its scripts and styles are those of `graphiqlRoute`. */
export function createGraphiqlHandler(
  options: GraphiqlOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const content = createBufferContent(Buffer.from(renderPage(options)), {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'private, no-cache',
    'content-security-policy': contentSecurityPolicy([
      "script-src 'self'",
      // The editor inserts styles, and embeds its fonts and images.
      "style-src 'self' 'unsafe-inline'",
      "worker-src 'self'",
      'font-src data:',
      "img-src 'self' data:",
      "connect-src 'self' ws: wss:",
    ]),
  });
  return (request, response) => sendContent(request, response, content);
}

function renderPage({ title, endpoint, defaultQuery, defaultVariables, accounts }: GraphiqlOptions): string {
  const options = {
    endpoint,
    accounts,
    logo: '<img src="/page/icon.svg" alt="" width="32" height="32">',
    defaultQuery,
    // `defaultQuery` alone leaves an empty tab in a browser that has stored tabs of an earlier visit.
    query: defaultQuery,
    variables: defaultVariables,
  };
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="icon" href="/page/icon.svg">
    <link rel="stylesheet" href="/graphiql/vendor/graphiql.css">
    <link rel="stylesheet" href="/graphiql/graphiql.css">
    <script defer src="/graphiql/vendor/graphiql.js"></script>
    <script type="module" src="/graphiql/main.js"></script>
  </head>
  <body>
    <noscript>GraphiQL needs JavaScript.</noscript>
    <header id="accounts" hidden>
      <span>Log in as</span> <span class="buttons"></span> <span role="status"></span>
    </header>
    <main id="graphiql" data-options="${escapeHtml(JSON.stringify(options))}"></main>
  </body>
</html>
`;
}
