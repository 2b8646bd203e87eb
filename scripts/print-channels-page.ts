import { writeFile } from 'node:fs/promises';
import type { ReplyShape, Channel } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS, COMMON_REFUSALS } from '../src/bridge/contract/channels.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import { asyncapi } from './asyncapi.ts';
import { code, escape, inline, marked, oneLine, table, typeOf } from './html.ts';
import type { Schema } from './html.ts';
import {
  CONNECTION,
  FRAME_EXAMPLES,
  NOMENCLATURE,
  TRANSPORT,
  emittedChannels,
  errorsOf,
  exampleOf,
  keyOf,
} from './legacy-contract.ts';
import type { FrameExample } from './legacy-contract.ts';

// The page renders the AsyncAPI document, so that the two cannot differ.
const { channels, components } = asyncapi() as {
  channels: Record<string, { messages: Record<string, { summary: string; payload: Schema }> }>;
  components: { schemas: Record<string, Schema> };
};

const listenedLink = (name: string): string => `<a href="#listened-${keyOf(name)}">${code(name)}</a>`;
const emittedLink = (name: string): string => `<a href="#emitted-${keyOf(name)}">${code(name)}</a>`;
const heading = (id: string, text: string): string => `<h3 id="${id}"><a href="#${id}">${text}</a></h3>`;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Longer JSON is collapsed. */
const SHORT = 120;

const inCode = (payload: unknown): string => `<code>${marked(oneLine(payload))}</code>`;

function fieldsOf({ fields, otherFields }: Channel, payload: Schema): string {
  if (fields.length === 0) return '<p>No fields.</p>';
  const rows = fields.map(({ name, required, description }) => {
    const type = typeOf(payload.properties?.[name] ?? {});
    return [code(name), `${type}${required ? '' : ', optional'}`, inline(description)];
  });
  if (otherFields !== null) rows.push(['any other', 'any, optional', inline(otherFields)]);
  return table(['Field', 'Type', 'Meaning'], rows);
}

function answer(given: ReplyShape): string {
  const { channel, shape, when } = given;
  const payload = shape === undefined ? '' : ` ${inCode(exampleOf(given))}`;
  return `<li>${emittedLink(channel)}${payload}${when === undefined ? '' : `, ${inline(when)}`}</li>`;
}

const errorTable = (errors: readonly { when: string; text: string }[], head: string): string =>
  table(
    [head, 'Text on ' + emittedLink('error')],
    errors.map(({ when, text }) => [inline(when), code(text)]),
  );

function listened(channel: Channel): string {
  const { name, description, example, replies, notes } = channel;
  const errors = errorsOf(channel);
  const argument = Object.keys(example).length === 0 ? '' : `, ${marked(oneLine(example))}`;
  return [
    '<article>',
    heading(`listened-${keyOf(name)}`, code(name)),
    `<p>${inline(description)}</p>`,
    fieldsOf(channel, channels[keyOf(name)]?.messages['request']?.payload ?? {}),
    `<pre>socket.emit('${escape(name)}'${argument})</pre>`,
    replies.length === 0
      ? '<p>No reply.</p>'
      : `<h4>Replies, in order</h4>\n<ol>\n${replies.map(answer).join('\n')}\n</ol>`,
    ...(errors.length === 0 ? [] : [errorTable(errors, 'Refused when, checked in this order')]),
    ...notes.map((note) => `<p>${inline(note)}</p>`),
    '</article>',
  ].join('\n');
}

const transport = ([name, summary]: readonly [string, string]): string =>
  `<article>\n${heading(`listened-${name}`, code(name))}\n<p>${inline(summary)}</p>\n</article>`;

/** Renders the keys of an object, or of each member of a union. */
function keysOf({ properties, anyOf, items }: Schema): string {
  if (properties !== undefined)
    return table(
      ['Key', 'Type', 'Meaning'],
      Object.entries(properties).map(([key, schema]) => [
        code(key),
        typeOf(schema),
        inline(schema.description ?? ''),
      ]),
    );
  if (items?.properties !== undefined) return `<p>A list of:</p>\n${keysOf(items)}`;
  if (anyOf?.some((part) => part.properties) === true) return anyOf.map(keysOf).join('\n<p>Or:</p>\n');
  return '';
}

function sample({ when, to, payload }: FrameExample): string {
  const line = `${capital(inline(when))} <span class="to">to: ${inline(to)}</span>`;
  return oneLine(payload).length > SHORT
    ? `<details>\n<summary>${line}</summary>\n<pre>${marked(JSON.stringify(payload, null, 2))}</pre>\n</details>`
    : `<div>\n<p>${line}</p>\n<pre>${marked(oneLine(payload))}</pre>\n</div>`;
}

function emitted(channel: EmittedChannel): string {
  const examples = FRAME_EXAMPLES.filter((one) => one.channel === channel);
  const texts = examples.filter(({ payload }) => typeof payload === 'string');
  const shapes = Object.entries(channels[keyOf(channel)]?.messages ?? {}).flatMap(([shape, message]) => {
    const ofShape = examples.filter((one) => one.shape === shape && typeof one.payload !== 'string');
    if (ofShape.length === 0) return [];
    return [`<h4>${inline(message.summary)}</h4>`, keysOf(message.payload), ...ofShape.map(sample)];
  });
  return [
    '<article>',
    heading(`emitted-${keyOf(channel)}`, code(channel)),
    ...(texts.length === 0
      ? []
      : [
          table(
            ['Text', 'When'],
            texts.map(({ when, payload }) => [code(String(payload)), inline(when)]),
          ),
        ]),
    ...shapes,
    '</article>',
  ].join('\n');
}

const type = ([name, schema]: readonly [string, Schema]): string =>
  [
    '<article>',
    heading(`type-${name}`, name),
    `<p>${inline(schema.description ?? '')}</p>`,
    keysOf(schema) || `<p>${typeOf({ ...schema })}</p>`,
    ...(schema.pattern === undefined ? [] : [`<p>As a pattern: ${code(schema.pattern)}</p>`]),
    '</article>',
  ].join('\n');

const types = Object.entries(components.schemas);

const contents = (title: string, id: string, links: readonly string[]): string =>
  `<li><a href="#${id}">${title}</a>\n<ul>\n${links.map((link) => `<li>${link}</li>`).join('\n')}\n</ul></li>`;

const page = `<!doctype html>
<!-- Generated by scripts/print-channels-page.ts. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="Every Socket.IO channel of Parley: what a client sends and hears.">
<title>Legacy channels of Parley</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="preload" href="/page/vendor/fonts/atkinson-hyperlegible-next.woff2" as="font" crossorigin>
<link rel="stylesheet" href="/page/style.css">
<link rel="stylesheet" href="/page/channels.css">
</head>
<body class="legacy">
<a class="skip" href="#nomenclature">Skip to the text</a>
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
repository, <code>docs/legacy-channels.md</code> also lists the deviations from the original.</p>
</header>
<nav class="contents" aria-label="Contents">
<ul>
<li><a href="#nomenclature">Nomenclature</a></li>
<li><a href="#connection">Connection</a></li>
${contents(
  'Listened channels',
  'listened',
  [...TRANSPORT.map(([name]) => name), ...CHANNELS.map(({ name }) => name)].map(listenedLink),
)}
${contents('Emitted channels', 'emitted', emittedChannels.map(emittedLink))}
${contents(
  'Types',
  'types',
  types.map(([name]) => `<a href="#type-${name}">${name}</a>`),
)}
</ul>
</nav>
<div class="channels">
<section>
<h2 id="nomenclature" tabindex="-1">Nomenclature</h2>
<dl>
${NOMENCLATURE.map(([term, meaning]) => `<div><dt>${term}</dt>\n<dd>${capital(inline(meaning))}</dd></div>`).join('\n')}
</dl>
</section>
<section>
<h2 id="connection">Connection</h2>
<ul>
${CONNECTION.map((line) => `<li>${inline(line)}</li>`).join('\n')}
</ul>
</section>
<section>
<h2 id="listened">Listened channels</h2>
<p>The events that a client may send. On every channel also:</p>
${errorTable(COMMON_REFUSALS, 'Refused when, after the channel’s own')}
${TRANSPORT.map(transport).join('\n')}
${CHANNELS.map(listened).join('\n')}
</section>
<section>
<h2 id="emitted">Emitted channels</h2>
<p>The events that a client may receive. Payloads always have the keys shown, in this order.</p>
${emittedChannels.map(emitted).join('\n')}
</section>
<section>
<h2 id="types">Types</h2>
${types.map(type).join('\n')}
</section>
</div>
</main>
</body>
</html>
`;

await writeFile(new URL('../src/page/channels.html', import.meta.url), page);
