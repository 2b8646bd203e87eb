// Shared content of the documents of the legacy channels: docs/legacy-channels.md, asyncapi.yaml and the page at /channels.
import { z } from 'zod';
import type { ReplyShape, Channel, ChannelError } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS, COMMON_ERRORS, USER_NOT_FOUND } from '../src/bridge/contract/channels.ts';
import { DEFAULT_LIMITS } from '../src/bridge/connection-limits.ts';
import { framesOf, framesOfEphemeral } from '../src/bridge/contract/event-frames.ts';
import { EMITTED } from '../src/bridge/contract/frame-schemas.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import { MAX_JSON_PARTS } from '../src/lib/json-weight.ts';
import { EPHEMERAL_SAMPLES, EVENT_SAMPLES } from './legacy-samples.ts';

/** An example of a frame that a client may receive. Texts are one line of Markdown. */
export interface FrameExample {
  readonly channel: EmittedChannel;
  readonly shape: string;
  readonly payload: unknown;
  readonly when: string;
  readonly to: string;
}

export const emittedChannels = Object.keys(EMITTED) as EmittedChannel[];

/** The name of a channel as a key without spaces. */
export const formatChannelKey = (channel: string): string => channel.replaceAll(' ', '_');

/** Returns the schemas of a channel by the key of the shape. */
export const readShapes = (channel: EmittedChannel): Readonly<Record<string, z.ZodType>> => EMITTED[channel];

/** Returns the channel's own errors, in the order in which they are checked. */
export function listErrors(channel: Channel): Omit<ChannelError, 'codes'>[] {
  const required = channel.fields.filter(({ required }) => required).map(({ name }) => `\`${name}\``);
  const errors: Omit<ChannelError, 'codes'>[] = [];
  if (channel.unauthenticatedError !== null)
    errors.push({ when: 'the socket has not authenticated', text: channel.unauthenticatedError });
  if (channel.missingFieldError !== null)
    errors.push({ when: `${required.join(' or ')} is missing`, text: channel.missingFieldError });
  return [...errors, ...channel.errors.map(({ when, text }) => ({ when, text }))];
}

/** Returns an example of a reply; undefined for a room frame. */
export function createExample({ channel, shape }: ReplyShape): unknown {
  const schema = shape === undefined ? undefined : readShapes(channel)[shape];
  if (schema === undefined) return undefined;
  const { const: constant, examples = [] } = z.toJSONSchema(schema);
  return constant ?? examples[0];
}

function findShape(channel: EmittedChannel, payload: unknown): string {
  const match = Object.entries(readShapes(channel)).find(([, schema]) => schema.safeParse(payload).success);
  if (match === undefined) throw new Error(`No shape of ${channel} matches ${JSON.stringify(payload)}.`);
  return match[0];
}

const replies: FrameExample[] = CHANNELS.flatMap((row) =>
  row.replies.flatMap((reply) => {
    const { channel, shape, when } = reply;
    if (shape === undefined) return [];
    const condition = when === undefined ? '' : `, ${when}`;
    const to = 'the socket that sent the event';
    return {
      channel,
      shape,
      payload: createExample(reply),
      when: `reply to \`${row.name}\`${condition}`,
      to,
    };
  }),
);

/** Each text of `error` once, with the channels that send it. */
const errors: FrameExample[] = [
  ...Map.groupBy(
    [
      ...CHANNELS.flatMap((row) =>
        listErrors(row).map(({ text }) => ({ text, when: `an error on \`${row.name}\`` })),
      ),
      ...COMMON_ERRORS.map(({ text }) => ({ text, when: 'an error on any channel' })),
      { text: USER_NOT_FOUND, when: 'the session has ended, and the socket is disconnected' },
    ],
    ({ text }) => text,
  ),
].map(([payload, reasons]) => {
  const when = [...new Set(reasons.map((reason) => reason.when))].join('; ').replaceAll('; an error on', ',');
  return { channel: 'error', shape: 'refused', payload, when, to: 'the socket that sent the event' };
});

/** An example of every frame that clients may receive. */
export const FRAME_EXAMPLES: readonly FrameExample[] = [
  ...replies,
  ...errors,
  ...Object.values(EVENT_SAMPLES).flatMap((samples) =>
    samples.flatMap(({ when, to, event }) => framesOf(event).map((frame) => ({ ...frame, when, to }))),
  ),
  ...EPHEMERAL_SAMPLES.flatMap(({ when, to, event }) =>
    framesOfEphemeral(event, ['webrtc_forward', 'webrtc_config']).map((frame) => ({ ...frame, when, to })),
  ),
].map((example) => ({ ...example, shape: findShape(example.channel, example.payload) }));

const formatMegabytes = (bytes: number): string => `${bytes / 1024 / 1024} MB`;

export const TERMS: readonly (readonly [term: string, meaning: string])[] = [
  ['Channel', 'the name of a Socket.IO event. A **payload** is its only argument.'],
  [
    'Room',
    'the sockets that have joined a circle or a conversation with `join_circle` or `join_conversation`. Membership alone delivers nothing. The sender of a message receives it too, if joined.',
  ],
  [
    'Newest connection',
    'the socket of an account, on any node, that authenticated last and is still connected. Frames for one account are sent only there; when it closes, the next newest takes over.',
  ],
  [
    'Id',
    'an integer from 1 to 2147483647; its decimal digits are accepted as a string, and integers are sent. Any other value is an unknown id.',
  ],
  [
    'Date',
    'ISO 8601 in UTC without a zone, with microseconds if they are not zero: `2018-12-07T10:10:43.123000`.',
  ],
];

export const CONNECTION: readonly string[] = [
  'Socket.IO 1.0 to 4.x at `/socket.io/`: Engine.IO protocols 3 and 4, polling (including JSONP) and WebSocket, default namespace. A handshake without `EIO` is protocol 3.',
  `\`pingInterval\` ${DEFAULT_LIMITS.pingIntervalMs}, \`pingTimeout\` ${DEFAULT_LIMITS.pingTimeoutMs}, payloads up to ${formatMegabytes(DEFAULT_LIMITS.payloadBytes)}. A polling request with more than ${DEFAULT_LIMITS.payloadPackets} packets closes its connection, and so does an event with more than 10 attachments or ${MAX_JSON_PARTS} objects, lists and properties, or with several references to one of them.`,
  'JSON sent to protocol 3 is ASCII, with `\\uXXXX`; text that clients of 1.x encode twice is decoded twice.',
  'A payload may also be the JSON text of an object. A missing or null payload, or any other value, counts as `{}`; further arguments are ignored. A field is missing only if it is absent: null counts as present.',
  'Where a string is expected, null is the empty string and other values become their JSON; a list within `files` becomes `{a,b}`. `is_writing` is true for true, for numbers except 0, and for strings except the empty one, `"0"` and `"false"` (case-insensitive). Characters are counted as Unicode code points.',
  'Payloads that are sent always have the keys shown, in the order shown.',
  'The events of one connection are handled strictly one after the other, including those received just before it closes.',
  `Events that a new socket sends before its first \`authenticate\` are queued until the reply to it, for at most ${DEFAULT_LIMITS.preAuthTimeoutMs / 1000} s after the connect, and then run in order: since 2.1, clients send the events that they buffered offline before the app can authenticate. Events of channels that need no login are not queued, unless an earlier event is. After that time, or beyond ${DEFAULT_LIMITS.preAuthEvents} events or ${formatMegabytes(DEFAULT_LIMITS.preAuthBytes)}, events that need a login fail immediately.`,
  'A token in the handshake counts as an `authenticate` sent first, with its `success` or `error`: in `auth` (protocol 5), the query, or the header `Authorization`. If it is rejected, the connection stays open, and the app may send `authenticate` itself; clients of protocol 3 do not receive the `error`, as their token may be meant for another system.',
  'A requested acknowledgement is always sent, without arguments, after all replies, room frames and replays included, even on unknown channels, which are otherwise ignored. Only a queued event of a reconnecting client of protocol 4 may be acknowledged earlier, when no other event arrives for 250 ms: with `retries` it sends no `authenticate` before that.',
  'The payload of `error` is a string, sent only to the socket that caused it; it never closes the connection. The payload of `success` is a string, except after `message`.',
  'Room frames are never sent between an event and its reply: they are queued until the reply is sent.',
  'The event `["disconnect"]` closes the socket, which then receives the disconnect packet.',
  `A slow client is disconnected: with more than ${DEFAULT_LIMITS.sendQueuePackets} packets or ${formatMegabytes(DEFAULT_LIMITS.sendQueueBytes)} that it has not read, or with more than ${DEFAULT_LIMITS.queuedEvents} events or ${formatMegabytes(DEFAULT_LIMITS.queuedBytes)}, attachments included, that it has sent and that have not been handled yet.`,
  'A server that stops closes WebSockets with code 1012, those of protocol 3 with 1001, and clients reconnect.',
];

/** The listened channels of the transport itself. */
export const TRANSPORT: readonly (readonly [channel: string, description: string])[] = [
  [
    'connect',
    'Sent by the transport. No reply; the socket is anonymous until it authenticates, unless the handshake has a token.',
  ],
  [
    'disconnect',
    'Sent by the transport, or as an event. Events sent before it still run; then the rooms are left, and the account goes offline, after a grace period, if this was its last connection. No reply.',
  ],
];
