import { writeFile } from 'node:fs/promises';
import type { ReplyShape, Channel } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS, COMMON_ERRORS } from '../src/bridge/contract/channels.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import { createAsyncapiDocument } from './asyncapi.ts';
import {
  renderCode,
  escapeHtml,
  renderMarkdown,
  highlightJson,
  formatOnOneLine,
  renderTable,
  renderType,
} from './html.ts';
import type { Schema } from './html.ts';
import {
  CONNECTION,
  FRAME_EXAMPLES,
  TERMS,
  TRANSPORT,
  emittedChannels,
  listErrors,
  createExample,
  formatChannelKey,
} from './legacy-contract.ts';
import type { FrameExample } from './legacy-contract.ts';

// The page is rendered from the AsyncAPI document, so that the two cannot differ.
const { channels, components } = createAsyncapiDocument() as {
  channels: Record<string, { messages: Record<string, { summary: string; payload: Schema }> }>;
  components: { schemas: Record<string, Schema> };
};

const renderListenedLink = (name: string): string =>
  `<a href="#listened-${formatChannelKey(name)}">${renderCode(name)}</a>`;
const renderEmittedLink = (name: string): string =>
  `<a href="#emitted-${formatChannelKey(name)}">${renderCode(name)}</a>`;
const renderHeading = (id: string, text: string): string =>
  `<h3 id="${id}"><a href="#${id}">${text}</a></h3>`;

const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Length in characters above which JSON is collapsed. */
const MAX_INLINE_LENGTH = 120;

const renderJson = (payload: unknown): string => `<code>${highlightJson(formatOnOneLine(payload))}</code>`;

function renderFields({ fields, otherFields }: Channel, payload: Schema): string {
  if (fields.length === 0) return '<p>No fields.</p>';
  const rows = fields.map(({ name, required, description }) => {
    const type = renderType(payload.properties?.[name] ?? {});
    return [renderCode(name), `${type}${required ? '' : ', optional'}`, renderMarkdown(description)];
  });
  if (otherFields !== null) rows.push(['any other', 'any, optional', renderMarkdown(otherFields)]);
  return renderTable(['Field', 'Type', 'Meaning'], rows);
}

function renderReply(reply: ReplyShape): string {
  const { channel, shape, when } = reply;
  const payload = shape === undefined ? '' : ` ${renderJson(createExample(reply))}`;
  return `<li>${renderEmittedLink(channel)}${payload}${when === undefined ? '' : `, ${renderMarkdown(when)}`}</li>`;
}

const renderErrors = (errors: readonly { when: string; text: string }[], head: string): string =>
  renderTable(
    [head, 'Text on ' + renderEmittedLink('error')],
    errors.map(({ when, text }) => [renderMarkdown(when), renderCode(text)]),
  );

function renderListened(channel: Channel): string {
  const { name, description, example, replies, notes } = channel;
  const errors = listErrors(channel);
  const argument = Object.keys(example).length === 0 ? '' : `, ${highlightJson(formatOnOneLine(example))}`;
  return [
    '<article>',
    renderHeading(`listened-${formatChannelKey(name)}`, renderCode(name)),
    `<p>${renderMarkdown(description)}</p>`,
    renderFields(channel, channels[formatChannelKey(name)]?.messages['request']?.payload ?? {}),
    `<pre>socket.emit('${escapeHtml(name)}'${argument})</pre>`,
    replies.length === 0
      ? '<p>No reply.</p>'
      : `<h4>Replies, in order</h4>\n<ol>\n${replies.map(renderReply).join('\n')}\n</ol>`,
    ...(errors.length === 0 ? [] : [renderErrors(errors, 'Rejected when, checked in this order')]),
    ...notes.map((note) => `<p>${renderMarkdown(note)}</p>`),
    '</article>',
  ].join('\n');
}

const renderTransport = ([name, summary]: readonly [string, string]): string =>
  `<article>\n${renderHeading(`listened-${name}`, renderCode(name))}\n<p>${renderMarkdown(summary)}</p>\n</article>`;

/** Renders the keys of an object, or of each member of a union. */
function renderKeys({ properties, anyOf, items }: Schema): string {
  if (properties !== undefined)
    return renderTable(
      ['Key', 'Type', 'Meaning'],
      Object.entries(properties).map(([key, schema]) => [
        renderCode(key),
        renderType(schema),
        renderMarkdown(schema.description ?? ''),
      ]),
    );
  if (items?.properties !== undefined) return `<p>A list of:</p>\n${renderKeys(items)}`;
  if (anyOf?.some((part) => part.properties) === true) return anyOf.map(renderKeys).join('\n<p>Or:</p>\n');
  return '';
}

function renderExample({ when, to, payload }: FrameExample): string {
  const line = `${capitalize(renderMarkdown(when))} <span class="to">to: ${renderMarkdown(to)}</span>`;
  return formatOnOneLine(payload).length > MAX_INLINE_LENGTH
    ? `<details>\n<summary>${line}</summary>\n<pre>${highlightJson(JSON.stringify(payload, null, 2))}</pre>\n</details>`
    : `<div>\n<p>${line}</p>\n<pre>${highlightJson(formatOnOneLine(payload))}</pre>\n</div>`;
}

function renderEmitted(channel: EmittedChannel): string {
  const examples = FRAME_EXAMPLES.filter((example) => example.channel === channel);
  const texts = examples.filter(({ payload }) => typeof payload === 'string');
  const shapes = Object.entries(channels[formatChannelKey(channel)]?.messages ?? {}).flatMap(
    ([shape, message]) => {
      const examplesOfShape = examples.filter(
        (example) => example.shape === shape && typeof example.payload !== 'string',
      );
      if (examplesOfShape.length === 0) return [];
      return [
        `<h4>${renderMarkdown(message.summary)}</h4>`,
        renderKeys(message.payload),
        ...examplesOfShape.map(renderExample),
      ];
    },
  );
  return [
    '<article>',
    renderHeading(`emitted-${formatChannelKey(channel)}`, renderCode(channel)),
    ...(texts.length === 0
      ? []
      : [
          renderTable(
            ['Text', 'When'],
            texts.map(({ when, payload }) => [renderCode(String(payload)), renderMarkdown(when)]),
          ),
        ]),
    ...shapes,
    '</article>',
  ].join('\n');
}

const renderNamedType = ([name, schema]: readonly [string, Schema]): string =>
  [
    '<article>',
    renderHeading(`type-${name}`, name),
    `<p>${renderMarkdown(schema.description ?? '')}</p>`,
    renderKeys(schema) || `<p>${renderType({ ...schema })}</p>`,
    ...(schema.pattern === undefined ? [] : [`<p>As a pattern: ${renderCode(schema.pattern)}</p>`]),
    '</article>',
  ].join('\n');

const types = Object.entries(components.schemas);

const renderContents = (title: string, id: string, links: readonly string[]): string =>
  `<li><a href="#${id}">${title}</a>\n<ul>\n${links.map((link) => `<li>${link}</li>`).join('\n')}\n</ul></li>`;

const page = `<!doctype html>
<!-- Generated by scripts/print-channels-page.ts. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="Every Socket.IO channel of Parley: what a client sends and receives.">
<title>Legacy channels of Parley</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="preload" href="/page/vendor/fonts/atkinson-hyperlegible-next.woff2" as="font" crossorigin>
<link rel="stylesheet" href="/page/style.css">
<link rel="stylesheet" href="/page/channels.css">
</head>
<body class="legacy">
<a class="skip" href="#terms">Skip to the text</a>
<header class="bar">
<a class="brand" href="/"><img src="/page/icon.svg" alt="" width="28" height="28"> <span>Parley</span></a>
<nav aria-label="This gateway">
<a href="/">Demo</a>
<a href="/graphql">GraphiQL</a>
<a href="/asyncapi.yaml">AsyncAPI</a>
</nav>
</header>
<main class="reference">
<header>
<h1>Legacy channels</h1>
<p>The events that Socket.IO clients send and receive. The same for tools is <a href="/asyncapi.yaml">asyncapi.yaml</a>; in the
repository, <code>docs/legacy-channels.md</code> also lists the deviations from the original server.</p>
</header>
<nav class="contents" aria-label="Contents">
<ul>
<li><a href="#terms">Terms</a></li>
<li><a href="#connection">Connection</a></li>
${renderContents(
  'Listened channels',
  'listened',
  [...TRANSPORT.map(([name]) => name), ...CHANNELS.map(({ name }) => name)].map(renderListenedLink),
)}
${renderContents('Emitted channels', 'emitted', emittedChannels.map(renderEmittedLink))}
${renderContents(
  'Types',
  'types',
  types.map(([name]) => `<a href="#type-${name}">${name}</a>`),
)}
</ul>
</nav>
<div class="channels">
<section>
<h2 id="terms" tabindex="-1">Terms</h2>
<dl>
${TERMS.map(([term, meaning]) => `<div><dt>${term}</dt>\n<dd>${capitalize(renderMarkdown(meaning))}</dd></div>`).join('\n')}
</dl>
</section>
<section>
<h2 id="connection">Connection</h2>
<ul>
${CONNECTION.map((line) => `<li>${renderMarkdown(line)}</li>`).join('\n')}
</ul>
</section>
<section>
<h2 id="listened">Listened channels</h2>
<p>The events that a client may send. These errors may occur on every channel:</p>
${renderErrors(COMMON_ERRORS, 'Rejected when, after the channel’s own')}
${TRANSPORT.map(renderTransport).join('\n')}
${CHANNELS.map(renderListened).join('\n')}
</section>
<section>
<h2 id="emitted">Emitted channels</h2>
<p>The events that a client may receive. Payloads always have the keys shown, in this order.</p>
${emittedChannels.map(renderEmitted).join('\n')}
</section>
<section>
<h2 id="types">Types</h2>
${types.map(renderNamedType).join('\n')}
</section>
</div>
</main>
</body>
</html>
`;

await writeFile(new URL('../src/page/channels.html', import.meta.url), page);
