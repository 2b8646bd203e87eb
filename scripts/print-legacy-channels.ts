import { writeFile } from 'node:fs/promises';
import type { ReplyShape, Channel } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS, COMMON_ERRORS } from '../src/bridge/contract/channels.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import {
  CONNECTION,
  FRAME_EXAMPLES,
  TERMS,
  TRANSPORT,
  emittedChannels,
  listErrors,
  createExample,
} from './legacy-contract.ts';

const escapeCell = (text: string): string => text.replaceAll('|', '\\|');
const formatRow = (...cells: string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`;
const formatTable = (head: string[], rows: readonly string[][]): string =>
  [
    formatRow(...head),
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((cells) => formatRow(...cells)),
  ].join('\n');

const formatJson = (value: unknown): string => `\`${JSON.stringify(value)}\``;

function formatReply(reply: ReplyShape): string {
  const { channel, shape, when } = reply;
  const payload = shape === undefined ? '' : ` ${formatJson(createExample(reply))}`;
  return `- \`${channel}\`${payload}${when === undefined ? '' : `, ${when}`}`;
}

function formatListened(channel: Channel): string {
  const fields = channel.fields.map(({ name, type, required, description }) => [
    `\`${name}\``,
    type,
    required ? 'required' : 'optional',
    description,
  ]);
  if (channel.otherFields !== null) fields.push(['…', 'any', 'optional', channel.otherFields]);
  const errors = listErrors(channel).map(({ when, text }) => [when, `\`${text}\``]);
  return [
    `### \`${channel.name}\``,
    channel.description,
    ...(fields.length === 0
      ? ['No fields.']
      : [
          formatTable(['field', 'type', '', 'meaning'], fields),
          `For example ${formatJson(channel.example)}.`,
        ]),
    channel.replies.length === 0
      ? 'No reply.'
      : `Replies, in order:\n\n${channel.replies.map(formatReply).join('\n')}`,
    ...(errors.length === 0 ? [] : [formatTable(['`error` when, checked in this order', 'text'], errors)]),
    ...channel.notes,
  ].join('\n\n');
}

function formatEmitted(channel: EmittedChannel): string {
  const rows = FRAME_EXAMPLES.filter((example) => example.channel === channel).map(
    ({ when, to, payload }) => [when, to, formatJson(payload)],
  );
  return `### \`${channel}\`\n\n${formatTable(['when', 'to', 'payload'], rows)}`;
}

const text = `# Legacy channels

For app developers: the events that Socket.IO clients send and receive. This page is generated from \`channels.ts\`,
\`frame-schemas.ts\` and \`event-frames.ts\` in \`src/bridge/contract\`: \`npm run drift\` regenerates it. A test compares every row with
the behaviour of the server.

[asyncapi.yaml](../asyncapi.yaml) is the same contract for tools; the gateway serves it at \`/asyncapi.yaml\`, and this page
at \`/channels\`, with the type of every key.

## Terms

${TERMS.map(([term, meaning]) => `- **${term}**: ${meaning}`).join('\n')}

## Connection

${CONNECTION.map((line) => `- ${line}`).join('\n')}

## Listened channels

${TRANSPORT.map(([name, description]) => `### \`${name}\`\n\n${description}`).join('\n\n')}

${CHANNELS.map(formatListened).join('\n\n')}

### On every channel

${formatTable(
  ['`error` when, after the channel’s own', 'text'],
  COMMON_ERRORS.map(({ when, text }) => [when, `\`${text}\``]),
)}

## Emitted channels

${emittedChannels.map(formatEmitted).join('\n\n')}

## Deviations

From the documentation of the original Flask-SocketIO server, and from its behaviour:

- A forwarded message arrives on \`webrtc_forward\`, as every client expects, and then on \`webrtc_config\`, as the
  documentation says; but only on \`webrtc_forward\` for clients that send no \`EIO\`, which restart their call on any
  \`webrtc_config\`. \`LEGACY_FORWARD_CHANNELS\` overrides this.
- \`writing\` and \`webrtc_forward\` reply \`success\`, which the documentation promises but the original server did not send after
  \`writing\`. \`is_writing\` is echoed as a boolean.
- \`circle_invite\` carries \`circle_invite_id\`, which apps read and the documentation lacks.
- \`media_list\` entries have the five keys shown; \`uploaded\` is \`"True"\` or \`"False"\`. \`files\` of \`message\` are linked to
  the message, so that their uploads work; the frame of the last one also has the keys of a complete message.
- Presence follows connections over any transport, instead of logins, with a grace period.
- Expired and revoked tokens close the socket; a socket whose account loses a membership is removed from the room after
  the frame that announces the loss.
- \`writing\`, \`message\` of a device and \`webrtc_forward\` are rejected without permission; the original server accepted
  them.
- Leaving a circle, or being kicked from it, also ends participation in its conversations, with their frames.
`;

await writeFile(new URL('../docs/legacy-channels.md', import.meta.url), text);
