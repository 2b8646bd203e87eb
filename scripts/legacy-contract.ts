// What the documents of the legacy channels say alike: docs/legacy-channels.md, asyncapi.yaml and the page at /channels.
import { z } from 'zod';
import type { ReplyShape, Channel, Refusal } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS, COMMON_REFUSALS, USER_NOT_FOUND } from '../src/bridge/contract/channels.ts';
import { DEFAULT_LIMITS } from '../src/bridge/limits.ts';
import { framesOf, framesOfEphemeral } from '../src/bridge/contract/event-frames.ts';
import { EMITTED } from '../src/bridge/contract/schemas.ts';
import type { EmittedChannel } from '../src/bridge/contract/schemas.ts';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from './legacy-samples.ts';

/** Something that a client may hear. Texts are Markdown of one line. */
export interface Heard {
  readonly channel: EmittedChannel;
  /** The key of its shape among those of its channel. */
  readonly shape: string;
  readonly payload: unknown;
  readonly when: string;
  readonly to: string;
}

export const emittedChannels = Object.keys(EMITTED) as EmittedChannel[];

/** The name of a channel where no blank may stand. */
export const keyOf = (channel: string): string => channel.replaceAll(' ', '_');

/** The shapes of a channel, by their keys. */
export const shapesOf = (channel: EmittedChannel): Readonly<Record<string, z.ZodType>> => EMITTED[channel];

/** The errors of a channel itself, in the order in which they are looked for. */
export function errorsOf(channel: Channel): Omit<Refusal, 'codes'>[] {
  const required = channel.fields.filter(({ required }) => required).map(({ name }) => `\`${name}\``);
  const errors: Omit<Refusal, 'codes'>[] = [];
  if (channel.anonymous !== null)
    errors.push({ when: 'the socket has not authenticated', text: channel.anonymous });
  if (channel.missing !== null)
    errors.push({ when: `${required.join(' or ')} is missing`, text: channel.missing });
  return [...errors, ...channel.refusals.map(({ when, text }) => ({ when, text }))];
}

/** What a client gets that asked well; undefined for what is one of the frames of a room. */
export function exampleOf({ channel, shape }: ReplyShape): unknown {
  const schema = shape === undefined ? undefined : shapesOf(channel)[shape];
  if (schema === undefined) return undefined;
  const { const: only, examples = [] } = z.toJSONSchema(schema);
  return only ?? examples[0];
}

function shapeOf(channel: EmittedChannel, payload: unknown): string {
  const fitting = Object.entries(shapesOf(channel)).find(([, schema]) => schema.safeParse(payload).success);
  if (fitting === undefined) throw new Error(`no shape of ${channel} is that of ${JSON.stringify(payload)}`);
  return fitting[0];
}

const answers: Heard[] = CHANNELS.flatMap((row) =>
  row.replies.flatMap((answer) => {
    const { channel, shape, when } = answer;
    if (shape === undefined) return [];
    const condition = when === undefined ? '' : `, ${when}`;
    const to = 'the socket that asked';
    return { channel, shape, payload: exampleOf(answer), when: `answers \`${row.name}\`${condition}`, to };
  }),
);

/** Each text once, with the channels that say it. */
const errors: Heard[] = [
  ...Map.groupBy(
    [
      ...CHANNELS.flatMap((row) =>
        errorsOf(row).map(({ text }) => ({ text, when: `refuses \`${row.name}\`` })),
      ),
      ...COMMON_REFUSALS.map(({ text }) => ({ text, when: 'refuses what came on any channel' })),
      { text: USER_NOT_FOUND, when: 'the session has ended, and the socket is disconnected' },
    ],
    ({ text }) => text,
  ),
].map(([payload, said]) => {
  const when = [...new Set(said.map((reason) => reason.when))].join('; ').replaceAll('; refuses', ',');
  return { channel: 'error', shape: 'refused', payload, when, to: 'the socket at fault' };
});

/** All that clients may hear, an example of each. */
export const HEARD: readonly Heard[] = [
  ...answers,
  ...errors,
  ...Object.values(EVENT_SAMPLES).flatMap((samples) =>
    samples.flatMap(({ when, to, fact }) => framesOf(fact).map((frame) => ({ ...frame, when, to }))),
  ),
  ...EPHEMERAL_SAMPLES.flatMap(({ when, to, fact }) =>
    framesOfEphemeral(fact, ['webrtc_forward', 'webrtc_config']).map((frame) => ({ ...frame, when, to })),
  ),
].map((heard) => ({ ...heard, shape: shapeOf(heard.channel, heard.payload) }));

const megabytes = (bytes: number): string => `${bytes / 1024 / 1024} MB`;

/** Terms, and what they mean. */
export const NOMENCLATURE: readonly (readonly [term: string, meaning: string])[] = [
  ['Channel', 'the name of a Socket.IO event. A **payload** is its one argument.'],
  [
    'Room',
    'who has joined a circle or a conversation with `join_circle` or `join_conversation`. Being a member alone delivers nothing. The sender of a message is part of the room like everybody else.',
  ],
  [
    'Newest connection',
    'the socket of an account, on any node, that authenticated last and is still alive. What concerns an account alone goes there; when it closes, the next newest takes over.',
  ],
  [
    'Id',
    'an integer from 1 to 2147483647; its decimal digits are accepted as a text, and integers are sent back. Any other value is an unknown id.',
  ],
  [
    'Date',
    'ISO 8601 in UTC without a zone, with microseconds where they are not zero: `2018-12-07T10:10:43.123000`.',
  ],
];

/** What holds for every connection. */
export const CONNECTION: readonly string[] = [
  'Socket.IO 1.0 to 4.x at `/socket.io/`: Engine.IO protocols 3 and 4, polling (also JSONP) and WebSocket, default namespace. A handshake without `EIO` is protocol 3.',
  `\`pingInterval\` ${DEFAULT_LIMITS.pingIntervalMs}, \`pingTimeout\` ${DEFAULT_LIMITS.pingTimeoutMs}, payloads up to ${megabytes(DEFAULT_LIMITS.payloadBytes)}. A post of more than ${DEFAULT_LIMITS.payloadPackets} packets ends its connection, and so does an event with more than 10 attachments, or with one of them in several places.`,
  'Towards protocol 3 JSON is written in ASCII, with `\\uXXXX`; what clients of 1.x encode twice is read as they meant it.',
  'A payload may also be the text of a JSON object. A missing or null payload, or any other value, counts as `{}`; further arguments are ignored. Whether a field is missing is decided by its presence: null is present.',
  'Where a text is expected, null is the empty one and other values stand in their JSON form; a list in `files` stands as `{a,b}`. `is_writing` is true for true, for numbers but 0, and for texts but the empty one, `"0"` and, in whatever case, `"false"`. Characters are counted as Unicode code points.',
  'The keys of what is sent are always there, in the order shown.',
  'The events of one connection are handled strictly one after the other, also those received just before it closes.',
  `What a new socket sends before its first \`authenticate\` is held until that was answered, but at most ${DEFAULT_LIMITS.holdMs / 1000} s from the connect, and then runs in order: clients from 2.1 on send what was written offline before the app can authenticate. Channels that need no login are not held, unless something before them is. After that second, or beyond ${DEFAULT_LIMITS.heldEvents} events or ${megabytes(DEFAULT_LIMITS.heldBytes)}, what needs a login is refused immediately.`,
  'A token in the handshake counts as an `authenticate` sent first, with its `success` or `error`: in `auth` (protocol 5), the query, or the header `Authorization`. If it is refused, the connection stays, and the app may send `authenticate` itself; clients of protocol 3 are not sent the `error`, as they may carry the token of something else.',
  'An acknowledgement that a client asks for is always sent, empty, after all answers, those of the room and what was missed included; also for channels that do not exist, which are ignored otherwise. Only the held event of a client of protocol 4 that was connected before can be acknowledged first, when nothing else comes for 250 ms: with `retries` it sends no `authenticate` before that.',
  '`error` carries a text, and only the socket at fault hears it; it never ends the connection. `success` carries a text, except after `message`.',
  'Frames of rooms never come between a request and its answer: they wait until the answer has left.',
  'The frame `["disconnect"]` sent as an event ends the socket, which then gets the disconnect packet.',
  `A connection that lets more than ${DEFAULT_LIMITS.sendQueuePackets} packets or ${megabytes(DEFAULT_LIMITS.sendQueueBytes)} wait for it, or that sends more than ${DEFAULT_LIMITS.queuedEvents} events or ${megabytes(DEFAULT_LIMITS.queuedBytes)} ahead of their handling, attachments included, is cut off.`,
  'A server that stops closes WebSockets with code 1012, those of protocol 3 with 1001, and clients reconnect.',
];

/** The listened channels that are the transport's own. */
export const TRANSPORT: readonly (readonly [channel: string, about: string])[] = [
  [
    'connect',
    'Said by the transport. Nothing is answered; the socket is nobody’s until it authenticates, unless the handshake has a token.',
  ],
  [
    'disconnect',
    'Said by the transport, or sent as an event. What was sent before it still runs; then the rooms are left, and the account goes offline, a grace period later, if this was its last connection. Nothing is answered.',
  ],
];
