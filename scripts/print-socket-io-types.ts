// Writes client/socket.io.d.ts: the event maps of the legacy channels for socket.io-client 3 and 4.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Channel, Field } from '../src/bridge/contract/channel-types.ts';
import { CHANNELS } from '../src/bridge/contract/channels.ts';
import { FIELD_TYPES } from '../src/bridge/contract/frame-schemas.ts';
import type { EmittedChannel } from '../src/bridge/contract/frame-schemas.ts';
import { FRAME_EXAMPLES, emittedChannels, readShapes } from './legacy-contract.ts';

type Schema = z.core.JSONSchema.JSONSchema;

/** Replacements of names that have another meaning in TypeScript. */
const NAMES: Readonly<Record<string, string>> = { Date: 'DateText' };

const named = new Map<string, Schema>();

const quoteText = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
const formatComment = (text: string | undefined, indent = ''): string =>
  text === undefined ? '' : `${indent}/** ${text} */\n`;
const formatUnion = (types: readonly string[]): string => [...new Set(types)].join(' | ');

/** Returns the JSON Schema of a type, and adds its named definitions to `named`. */
function createSchema(type: z.ZodType): Schema {
  const { definitions = {}, ...schema } = z.toJSONSchema(type, {
    target: 'draft-7',
    override({ zodSchema: { _zod }, jsonSchema }) {
      const { def } = _zod;
      // The template literal type is more precise than the pattern that zod emits.
      if (def.type === 'template_literal') jsonSchema.contentMediaType = formatTemplate(def.parts);
    },
  }) as Schema & { definitions?: Record<string, Schema> };
  for (const [name, definition] of Object.entries(definitions)) named.set(name, definition);
  return schema;
}

const formatTemplate = (parts: readonly unknown[]): string =>
  `\`${parts.map((part) => (typeof part === 'string' ? part : '${number}')).join('')}\``;

function formatType(schema: Schema, indent: string): string {
  const { $ref, allOf, anyOf, const: constant, enum: values, type, items, contentMediaType } = schema;
  if ($ref !== undefined) return formatTypeName($ref.replace('#/definitions/', ''));
  // A reference with its own description.
  if (allOf !== undefined) return formatUnion(allOf.map((part) => formatType(part, indent)));
  if (anyOf !== undefined) return formatUnion(anyOf.map((part) => formatType(part, indent)));
  if (contentMediaType !== undefined) return contentMediaType;
  if (constant !== undefined) return formatLiteral(constant);
  if (values !== undefined) return formatUnion(values.map(formatLiteral));
  if (type === 'object') return formatObject(schema, indent);
  if (type === 'array') return `readonly ${parenthesize(formatType(items as Schema, indent))}[]`;
  if (Array.isArray(type)) return formatUnion(type);
  return type === 'integer' ? 'number' : (type ?? 'unknown');
}

const formatTypeName = (name: string): string => NAMES[name] ?? name;
const parenthesize = (type: string): string => (type.includes(' | ') ? `(${type})` : type);
const formatLiteral = (value: unknown): string =>
  typeof value === 'string' ? quoteText(value) : String(value);

function formatObject({ properties = {}, required = [] }: Schema, indent: string): string {
  const inner = `${indent}  `;
  const members = Object.entries(properties).map(([name, property]) => {
    const schema = property as Schema;
    const optionalMark = required.includes(name) ? '' : '?';
    return `${formatComment(schema.description, inner)}${inner}readonly ${name}${optionalMark}: ${formatType(schema, inner)};\n`;
  });
  return `{\n${members.join('')}${indent}}`;
}

const formatPayloadType = (channel: EmittedChannel): string =>
  channel === 'error'
    ? 'ErrorText'
    : formatUnion(Object.values(readShapes(channel)).map((shape) => formatType(createSchema(shape), '  ')));

const formatServerEvent = (channel: EmittedChannel): string => {
  const key = /^\w+$/.test(channel) ? channel : quoteText(channel);
  const descriptions = Object.values(readShapes(channel)).map((shape) => shape.description);
  return `${formatComment(descriptions.join(' '), '  ')}  ${key}(payload: ${formatPayloadType(channel)}): void;\n`;
};

function formatField({ name, type, required, description }: Field): string {
  const value = formatType(createSchema(FIELD_TYPES[type]), '    ');
  const absentTypes = value.endsWith(' | null') ? 'undefined' : 'null | undefined';
  const members = required ? `${name}: ${value}` : `${name}?: ${value} | ${absentTypes}`;
  return `${formatComment(description.replaceAll('*/', '* /'), '    ')}    readonly ${members};\n`;
}

function formatClientEvent({ name, description, fields, otherFields }: Channel): string {
  const otherMembers =
    otherFields === null
      ? ''
      : `${formatComment(otherFields, '    ')}    readonly [field: string]: unknown;\n`;
  const payload = `{\n${fields.map(formatField).join('')}${otherMembers}  }`;
  const parameters =
    fields.length === 0
      ? '...parameters: [ack?: Ack] | [payload: Readonly<Record<string, unknown>>, ack?: Ack]'
      : `payload: ${payload}, ack?: Ack`;
  return `${formatComment(description, '  ')}  ${name}(${parameters}): void;\n`;
}

const errorTexts = [
  ...new Set(FRAME_EXAMPLES.filter(({ channel }) => channel === 'error').map(({ payload }) => payload)),
];

const serverEvents = emittedChannels.map(formatServerEvent).join('');
const clientEvents = CHANNELS.map(formatClientEvent).join('');
const types = [...named].map(
  ([name, schema]) =>
    `${formatComment(schema.description)}export type ${formatTypeName(name)} = ${formatType(schema, '')};\n`,
);

const text = `// Generated from src/bridge/contract/channels.ts and src/bridge/contract/frame-schemas.ts by scripts/print-socket-io-types.ts.

/** An acknowledgement without arguments. */
export type Ack = () => void;

/** Every text that the server sends on \`error\`. */
export type ErrorText =
${errorTexts.map((error) => `  | ${formatLiteral(error)}`).join('\n')};

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
