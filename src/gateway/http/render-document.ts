import { Marked } from 'marked';
import type { RendererObject } from 'marked';
import { escapeHtml } from '../../lib/escape-html.ts';

/** Renders a Markdown document of the repository as a page. Links to files that are not served are shown as text. */
export function renderDocument(text: string, path: string, documents: ReadonlySet<string>): string {
  const marked = new Marked({ renderer: createRenderer(path, documents) });
  const [, title = path] = /^# (.+)$/m.exec(text) ?? [];
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${escapeHtml(title.replaceAll('`', ''))} · Parley</title>
    <link rel="icon" href="/page/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/page/style.css">
    <link rel="stylesheet" href="/page/document.css">
  </head>
  <body>
    <header class="bar">
      <a class="brand" href="/"><img src="/page/icon.svg" alt="" width="28" height="28"><span>Parley</span></a>
      <nav aria-label="Documents">
        <a href="/README.md">README</a>
        <a href="/ARCHITECTURE.md">Architecture</a>
        <a href="/docs/clients.md">Clients</a>
        <a href="/docs/operations/README.md">Operations</a>
      </nav>
    </header>
    <main class="document">
${marked.parse(text, { async: false })}
    </main>
  </body>
</html>
`;
}

function createRenderer(path: string, documents: ReadonlySet<string>): RendererObject {
  const anchors = new Map<string, number>();
  /** Returns the anchor that GitHub gives to a heading. */
  const anchorOf = (heading: string): string => {
    const anchor = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    const repeated = anchors.get(anchor) ?? 0;
    anchors.set(anchor, repeated + 1);
    return repeated === 0 ? anchor : `${anchor}-${repeated}`;
  };
  const isServed = (href: string): boolean =>
    /^(https?:|#)/.test(href) || documents.has(new URL(href, `http://parley${path}`).pathname);
  return {
    heading({ depth, text, tokens }) {
      return `<h${depth} id="${escapeHtml(anchorOf(text))}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
    },
    link({ href, tokens }) {
      const content = this.parser.parseInline(tokens);
      return isServed(href) ? `<a href="${escapeHtml(href)}">${content}</a>` : content;
    },
    image({ href, text }) {
      return /^https?:/.test(href) || !isServed(href)
        ? escapeHtml(text)
        : `<img src="${escapeHtml(href)}" alt="${escapeHtml(text)}">`;
    },
  };
}
