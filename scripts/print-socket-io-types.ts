// Writes client/socket.io.d.ts: the event maps of the legacy channels for socket.io-client 3 and 4.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Channel, Field } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS } from '../src/bridge/contract/channels.ts';
import { FIELD_TYPES } from '../src/bridge/contract/frame-schemas.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import { FRAME_EXAMPLES, emittedChannels, shapesOf } from './legacy-contract.ts';

type Schema = z.core.JSONSchema.JSONSchema;

/** Names that mean something else in TypeScript. */
const NAMES: Readonly<Record<string, string>> = { Date: 'DateText' };

const named = new Map<string, Schema>();

const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
const comment = (text: string | undefined, indent = ''): string =>
  text === undefined ? '' : `${indent}/** ${text} */\n`;
const union = (types: readonly string[]): string => [...new Set(types)].join(' | ');

/** Returns the JSON Schema of a type, and adds its named definitions to `named`. */
function schemaOf(type: z.ZodType): Schema {
  const { definitions = {}, ...schema } = z.toJSONSchema(type, {
    target: 'draft-7',
    override({ zodSchema: { _zod }, jsonSchema }) {
      const { def } = _zod;
      // The template literal type is more precise than the pattern that zod emits.
      if (def.type === 'template_literal') jsonSchema.contentMediaType = templateOf(def.parts);
    },
  }) as Schema & { definitions?: Record<string, Schema> };
  for (const [name, definition] of Object.entries(definitions)) named.set(name, definition);
  return schema;
}

const templateOf = (parts: readonly unknown[]): string =>
  `\`${parts.map((part) => (typeof part === 'string' ? part : '${number}')).join('')}\``;

function typeOf(schema: Schema, indent: string): string {
  const { $ref, allOf, anyOf, const: only, enum: values, type, items, contentMediaType } = schema;
  if ($ref !== undefined) return nameOf($ref.replace('#/definitions/', ''));
  // A reference with a description of its own.
  if (allOf !== undefined) return union(allOf.map((one) => typeOf(one, indent)));
  if (anyOf !== undefined) return union(anyOf.map((one) => typeOf(one, indent)));
  if (contentMediaType !== undefined) return contentMediaType;
  if (only !== undefined) return literal(only);
  if (values !== undefined) return union(values.map(literal));
  if (type === 'object') return objectOf(schema, indent);
  if (type === 'array') return `readonly ${group(typeOf(items as Schema, indent))}[]`;
  if (Array.isArray(type)) return union(type);
  return type === 'integer' ? 'number' : (type ?? 'unknown');
}

const nameOf = (name: string): string => NAMES[name] ?? name;
const group = (type: string): string => (type.includes(' | ') ? `(${type})` : type);
const literal = (value: unknown): string => (typeof value === 'string' ? quote(value) : String(value));

function objectOf({ properties = {}, required = [] }: Schema, indent: string): string {
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(([name, property]) => {
    const schema = property as Schema;
    const mark = required.includes(name) ? '' : '?';
    return `${comment(schema.description, inner)}${inner}readonly ${name}${mark}: ${typeOf(schema, inner)};\n`;
  });
  return `{\n${members.join('')}${indent}}`;
}

const payloadTypeOf = (channel: EmittedChannel): string =>
  channel === 'error'
    ? 'ErrorText'
    : union(Object.values(shapesOf(channel)).map((shape) => typeOf(schemaOf(shape), '  ')));

const serverEvent = (channel: EmittedChannel): string => {
  const key = /^\w+$/.test(channel) ? channel : quote(channel);
  const descriptions = Object.values(shapesOf(channel)).map((shape) => shape.description);
  return `${comment(descriptions.join(' '), '  ')}  ${key}(payload: ${payloadTypeOf(channel)}): void;\n`;
};

function fieldOf({ name, type, required, description }: Field): string {
  const value = typeOf(schemaOf(FIELD_TYPES[type]), '    ');
  const absent = value.endsWith(' | null') ? 'undefined' : 'null | undefined';
  const members = required ? `${name}: ${value}` : `${name}?: ${value} | ${absent}`;
  return `${comment(description.replaceAll('*/', '* /'), '    ')}    readonly ${members};\n`;
}

function clientEvent({ name, description, fields, otherFields }: Channel): string {
  const rest =
    otherFields === null ? '' : `${comment(otherFields, '    ')}    readonly [field: string]: unknown;\n`;
  const payload = `{\n${fields.map(fieldOf).join('')}${rest}  }`;
  const parameters =
    fields.length === 0
      ? '...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]'
      : `payload: ${payload}, ack?: Ack`;
  return `${comment(description, '  ')}  ${name}(${parameters}): void;\n`;
}

const errorTexts = [
  ...new Set(FRAME_EXAMPLES.filter(({ channel }) => channel === 'error').map(({ payload }) => payload)),
];

const serverEvents = emittedChannels.map(serverEvent).join('');
const clientEvents = CHANNELS.map(clientEvent).join('');
const types = [...named].map(
  ([name, schema]) => `${comment(schema.description)}export type ${nameOf(name)} = ${typeOf(schema, '')};\n`,
);

const text = `// Generated from src/bridge/contract/channels.ts and src/bridge/contract/frame-schemas.ts by scripts/print-socket-io-types.ts.

/** An acknowledgement without arguments. */
export type Ack = () => void;

/** Every text that the server sends on \`error\`. */
export type ErrorText =
${errorTexts.map((error) => `  | ${literal(error)}`).join('\n')};

${types.join('\n')}
/** The events that the server emits, for \`Socket<ServerToClientEvents, ClientToServerEvents>\` of socket.io-client. */
export interface ServerToClientEvents {
${serverEvents}}

/** The events that a client may emit. */
export interface ClientToServerEvents {
${clientEvents}}

/** The payload that a listener of a channel receives. */
export type Payload<Channel extends keyof ServerToClientEvents> = Parameters<ServerToClientEvents[Channel]>[0];
`;
writeFileSync(join(dirname(import.meta.dirname), 'client', 'socket.io.d.ts'), text);
