import { writeFile } from 'node:fs/promises';
import type { Channel } from '../src/bridge/channel.ts';
import { CHANNELS, COMMON_REFUSALS } from '../src/bridge/channels.ts';
import { DEFAULT_LIMITS } from '../src/bridge/deps.ts';
import { framesOf, framesOfEphemeral } from '../src/bridge/outbound.ts';
import type { Frame } from '../src/bridge/frames.ts';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from './legacy-samples.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|');
const row = (...cells: string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: string[], rows: readonly string[][]): string =>
  [row(...head), `|${head.map(() => '---').join('|')}|`, ...rows.map((cells) => row(...cells))].join('\n');

const megabytes = (bytes: number): string => `${bytes / 1024 / 1024} MB`;

function listened(channel: Channel): string {
  const fields = channel.fields.map(({ name, type, required, about }) => [
    `\`${name}\``,
    type,
    required ? 'required' : 'optional',
    about,
  ]);
  const lacking = channel.fields
    .filter(({ required }) => required)
    .map(({ name }) => `\`${name}\``)
    .join(' or ');
  const errors = [
    ...(channel.anonymous === null ? [] : [['the socket has not authenticated', `\`${channel.anonymous}\``]]),
    ...(channel.missing === null ? [] : [[`${lacking} is missing`, `\`${channel.missing}\``]]),
    ...channel.refusals.map(({ when, text }) => [when, `\`${text}\``]),
  ];
  return [
    `### \`${channel.name}\``,
    channel.about,
    ...(fields.length === 0 ? ['No fields.'] : [table(['field', 'type', '', 'meaning'], fields)]),
    channel.replies.length === 0
      ? 'No answer.'
      : `Answers, in order:\n\n${channel.replies.map((reply) => `- ${reply}`).join('\n')}`,
    ...(errors.length === 0 ? [] : [table(['`error` when, checked in this order', 'text'], errors)]),
    ...channel.notes,
  ].join('\n\n');
}

interface Emitted {
  readonly frame: Frame;
  readonly when: string;
  readonly to: string;
}

const emitted: readonly Emitted[] = [
  ...Object.values(EVENT_SAMPLES).flatMap((samples) =>
    samples.flatMap(({ when, to, fact }) => framesOf(fact).map((frame) => ({ frame, when, to }))),
  ),
  ...EPHEMERAL_SAMPLES.flatMap(({ when, to, fact }) =>
    framesOfEphemeral(fact, ['webrtc_forward', 'webrtc_config']).map((frame) => ({ frame, when, to })),
  ),
];

function emittedOn(channel: string): string {
  const rows = emitted
    .filter(({ frame }) => frame.channel === channel)
    .map(({ frame, when, to }) => [when, to, `\`${JSON.stringify(frame.payload)}\``]);
  return `### \`${channel}\`\n\n${table(['when', 'to', 'payload'], rows)}`;
}

const emittedChannels = [...new Set(emitted.map(({ frame }) => frame.channel))];

const text = `# Legacy channels

What a Socket.IO client sends and hears. This page is generated from \`src/bridge/channels.ts\` and
\`src/bridge/outbound.ts\` by \`npm run drift\`; a test compares every row of it with what the server does.

## Nomenclature

- **Channel**: the name of a Socket.IO event. A **payload** is its one argument.
- **Room**: who has joined a circle or a conversation with \`join_circle\` or \`join_conversation\`. Being a member alone
  delivers nothing. The sender of a message is part of the room like everybody else.
- **Newest connection**: the socket of an account, on any node, that authenticated last and is still alive. What concerns
  an account alone goes there; when it closes, the next newest takes over.
- Ids are integers; texts of decimal digits are accepted for them, and integers are sent back. Any other value is an
  unknown id.
- Dates are ISO 8601 in UTC without a zone, with microseconds where they are not zero: \`2018-12-07T10:10:43.123000\`.

## Connection

- Socket.IO 1.0 to 4.x at \`/socket.io/\`: Engine.IO protocols 3 and 4, polling (also JSONP) and WebSocket, default
  namespace. A handshake without \`EIO\` is protocol 3.
- \`pingInterval\` ${DEFAULT_LIMITS.pingIntervalMs}, \`pingTimeout\` ${DEFAULT_LIMITS.pingTimeoutMs}, payloads up to
  ${megabytes(DEFAULT_LIMITS.payloadBytes)}.
- Towards protocol 3 JSON is written in ASCII, with \`\\uXXXX\`; what clients of 1.x encode twice is read as they meant it.
- A payload may also be the text of a JSON object. A missing or null payload, or any other value, counts as \`{}\`; further
  arguments are ignored. Whether a field is missing is decided by its presence: null is present.
- The events of one connection are handled strictly one after the other, also those received just before it closes.
- An acknowledgement that a client asks for is always sent, empty, after the answer; also for channels that do not exist,
  which are ignored otherwise.
- \`error\` carries a text, and only the socket at fault hears it; it never ends the connection. \`success\` carries a text,
  except after \`message\`.
- Frames of rooms never come between a request and its answer: they wait until the answer has left.
- The frame \`["disconnect"]\` sent as an event ends the socket, which then gets the disconnect packet.
- A connection that lets more than ${DEFAULT_LIMITS.waitingPackets} packets or ${megabytes(DEFAULT_LIMITS.waitingBytes)} wait for it, or that sends more than ${DEFAULT_LIMITS.queuedEvents} events or
  ${megabytes(DEFAULT_LIMITS.queuedBytes)} ahead of their handling, is cut off.
- A server that stops closes WebSockets with code 1012, those of protocol 3 with 1001, and clients reconnect.

## Listened channels

### \`connect\`

Said by the transport. Nothing is answered; the socket is nobody’s until it authenticates.

### \`disconnect\`

Said by the transport, or sent as an event. What was sent before it still runs; then the rooms are left, and the account
goes offline if this was its last connection. Nothing is answered.

${CHANNELS.map(listened).join('\n\n')}

### On every channel

${table(
  ['`error` when, after the channel’s own', 'text'],
  COMMON_REFUSALS.map(({ when, text }) => [when, `\`${text}\``]),
)}

## Emitted channels

Besides \`success\` and \`error\`, and the answers above: \`media\`
\`{"media_list":[{"id":60,"filename":null,"extension":null,"identifier":"cake.png","uploaded":"False"}],"message_id":40}\`
after a \`message\` with files, and \`webrtc_config\`.

${emittedChannels.map(emittedOn).join('\n\n')}

## Deviations

From the documentation of the original, and from what its server did:

- A forwarded message arrives on \`webrtc_forward\`, as every client expects, and then on \`webrtc_config\`, as the
  documentation says; but on \`webrtc_forward\` alone at clients that send no \`EIO\`, which rebuild their call on any
  \`webrtc_config\`. \`LEGACY_FORWARD_CHANNELS\` overrides this.
- \`writing\` and \`webrtc_forward\` answer \`success\`, which the documentation promises and the server did not send after
  \`writing\`. \`is_writing\` is echoed as a boolean.
- \`circle_invite\` carries \`circle_invite_id\`, which apps read and the documentation lacks.
- \`media_list\` entries have the five keys shown; \`uploaded\` is \`"True"\` or \`"False"\`. \`files\` of \`message\` are linked to
  the message, so that their uploads work; the last one’s frame brings the keys of a finished message as well.
- Presence follows connections of any kind, instead of logins, with a grace period.
- Expired and revoked tokens end the socket; whoever loses a membership leaves the room after the frame that says so.
- \`writing\`, \`message\` of a device and \`webrtc_forward\` are refused without the right to do so; the original let them
  through.
- Leaving a circle, or being kicked from it, also ends participation in its conversations, with the frames of that.
`;

await writeFile(new URL('../docs/legacy-channels.md', import.meta.url), text);
