// Builds asyncapi.yaml as an object: AsyncAPI 3, with the listened channels and the schemas of the emitted ones.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Channel } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS, COMMON_ERRORS } from '../src/bridge/contract/channels.ts';
import { FIELD_TYPES } from '../src/bridge/contract/frame-schemas.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import {
  CONNECTION,
  FRAME_EXAMPLES,
  TERMS,
  TRANSPORT,
  emittedChannels,
  listErrors,
  readShapes,
  formatChannelKey,
} from './legacy-contract.ts';

type Tree = Record<string, unknown>;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as Tree;

/** Creates a reference. Keys of channels have no spaces, unlike their addresses. */
const createRef = (...path: string[]): Tree => ({ $ref: `#/${path.map(formatChannelKey).join('/')}` });
const createMessageRef = (channel: string, message: string): Tree =>
  createRef('channels', channel, 'messages', message);
const createMessageRefs = (channel: EmittedChannel): Tree[] =>
  Object.keys(readShapes(channel)).map((shape) => createMessageRef(channel, shape));

/** The key of the message that clients send, among the messages of a channel. */
const REQUEST = 'request';

/** Returns a JSON Schema for this document, and adds its named definitions to `schemas`. */
function createSchema(type: z.ZodType, schemas: Tree): Tree {
  const text = JSON.stringify(z.toJSONSchema(type, { target: 'draft-7' }));
  const { $schema, definitions, examples, ...schema } = JSON.parse(
    text.replaceAll('#/definitions/', '#/components/schemas/'),
  ) as Tree;
  Object.assign(schemas, definitions);
  return schema;
}

function createRequestSchema({ fields, otherFields }: Channel, schemas: Tree): Tree {
  const properties = fields.map(({ name, type, description }) => {
    const schema = createSchema(FIELD_TYPES[type], schemas);
    return [
      name,
      { ...('$ref' in schema ? { allOf: [schema] } : schema), description: description },
    ] as const;
  });
  const required = fields.filter((field) => field.required).map(({ name }) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    ...(required.length === 0 ? {} : { required }),
    ...(otherFields === null ? {} : { additionalProperties: { description: otherFields } }),
  };
}

const createRequest = (channel: Channel, schemas: Tree): Tree => ({
  name: channel.name,
  title: `${channel.name}, sent by a client`,
  summary: channel.description,
  payload: createRequestSchema(channel, schemas),
  examples: [{ payload: channel.example }],
  'x-ack': [],
});

function createEmittedMessages(channel: EmittedChannel, schemas: Tree): Tree {
  const messages = Object.entries(readShapes(channel)).map(([shape, type]) => {
    const examples = FRAME_EXAMPLES.filter(
      (example) => example.channel === channel && example.shape === shape,
    );
    const { description, ...payload } = createSchema(type, schemas);
    // The texts of `error` are defined in `channels.ts`.
    const texts = channel === 'error' ? { enum: examples.map(({ payload }) => payload) } : {};
    const message = {
      name: channel,
      title: `${channel}, sent to a client: ${shape}`,
      summary: description,
      payload: { ...payload, ...texts },
      examples: examples.map(({ to, when, payload }) => ({
        summary: `To the ${to.replace(/^the /, '')}: ${when}.`,
        payload,
      })),
    };
    return [shape, message] as const;
  });
  return Object.fromEntries(messages);
}

function createChannels(schemas: Tree): Tree {
  const names = new Set<string>([...CHANNELS.map(({ name }) => name), ...emittedChannels]);
  return Object.fromEntries(
    [...names].map((address) => {
      const listened = CHANNELS.find(({ name }) => name === address);
      const emitted = emittedChannels.find((name) => name === address);
      const messages = {
        ...(listened && { [REQUEST]: createRequest(listened, schemas) }),
        ...(emitted && createEmittedMessages(emitted, schemas)),
      };
      return [formatChannelKey(address), { address, messages }];
    }),
  );
}

/** Returns the operation of a listened channel. AsyncAPI allows one channel per reply, so the others are in `x-answers`. */
function createReceiveOperation(channel: Channel): Tree {
  const { name, description, notes, unauthenticatedError } = channel;
  const replies = channel.replies.map(({ channel: on, shape, when }) => ({
    channel: createRef('channels', on),
    messages: shape === undefined ? createMessageRefs(on) : [createMessageRef(on, shape)],
    ...(when !== undefined && { when }),
  }));
  const mainReply = channel.replies.find(({ when }) => when === undefined) ?? channel.replies[0];
  return {
    action: 'receive',
    channel: createRef('channels', name),
    summary: description,
    ...(notes.length > 0 && { description: notes.join('\n\n') }),
    ...(unauthenticatedError !== null && { security: [createRef('components', 'securitySchemes', 'token')] }),
    messages: [createMessageRef(name, REQUEST)],
    ...(mainReply?.shape !== undefined && {
      reply: {
        channel: createRef('channels', mainReply.channel),
        messages: [createMessageRef(mainReply.channel, mainReply.shape)],
      },
    }),
    'x-answers': replies,
    'x-errors': [...listErrors(channel), ...COMMON_ERRORS.map(({ when, text }) => ({ when, text }))],
  };
}

const createSendOperation = (channel: EmittedChannel): Tree => ({
  action: 'send',
  channel: createRef('channels', channel),
  messages: createMessageRefs(channel),
});

const description = `The events that Socket.IO clients send to Parley and receive from it. New clients use GraphQL instead; both APIs serve the same data.

A channel is a Socket.IO event of that name, and a payload is its only argument, as JSON. A \`receive\` operation is an event that a client
may send, a \`send\` operation one that it may receive. Replies are in \`x-answers\`, in order (\`reply\` is the one that is always sent), texts of
\`error\` in \`x-errors\`, in the order in which they are checked; \`x-ack\` are the arguments of an acknowledgement: none.

Connect with \`io('http://localhost:4000')\`, of socket.io-client 1.0 to 4.8, then \`authenticate\` with a token of the GraphQL mutation \`login\`.

## Terms

${TERMS.map(([term, meaning]) => `- **${term}**: ${meaning}`).join('\n')}

## Connection

${CONNECTION.map((line) => `- ${line}`).join('\n')}

The transport has two channels of its own:

${TRANSPORT.map(([channel, summary]) => `- \`${channel}\`: ${summary}`).join('\n')}
`;

export function createAsyncapiDocument(): Tree {
  const schemas: Tree = {};
  const server = { host: 'localhost:4000', pathname: '/socket.io/' };
  return {
    asyncapi: '3.1.0',
    info: {
      title: 'Parley: legacy channels',
      version,
      description,
      externalDocs: {
        description: 'The same contract as a page, on every gateway.',
        url: 'http://localhost:4000/channels',
      },
    },
    defaultContentType: 'application/json',
    servers: {
      websocket: { ...server, protocol: 'ws', description: 'Socket.IO over WebSocket: `EIO` 3 or 4.' },
      polling: {
        ...server,
        protocol: 'http',
        description: 'Socket.IO over HTTP polling, which clients may upgrade.',
      },
    },
    channels: createChannels(schemas),
    operations: Object.fromEntries([
      ...CHANNELS.map(
        (channel) => [`receive_${formatChannelKey(channel.name)}`, createReceiveOperation(channel)] as const,
      ),
      ...emittedChannels.map(
        (channel) => [`send_${formatChannelKey(channel)}`, createSendOperation(channel)] as const,
      ),
    ]),
    components: {
      schemas,
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'The `token` of `authenticate`, sent once on the connection, or of the handshake: in `auth`, the query, or `Authorization`.',
        },
      },
    },
  };
}
