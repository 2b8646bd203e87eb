// HTML helpers of print-channels-page.ts: text, inline Markdown, JSON, tables, and the types of JSON Schemas.

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

export const escape = (text: string): string => text.replaceAll(/[&<>"]/g, (char) => ENTITIES[char] ?? char);

export const code = (text: string): string => `<code>${escape(text)}</code>`;

/** Renders inline Markdown: code and strong text. */
export const inline = (markdown: string): string =>
  escape(markdown)
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
    .replaceAll(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>');

/** Renders a table without its empty columns. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const isUsed = (_cell: string, column: number) => rows.some((cells) => cells[column] !== '');
  const head = heads.filter(isUsed).map((text) => `<th scope="col">${text}</th>`);
  const body = rows.map(
    (cells) =>
      `<tr>${cells
        .filter(isUsed)
        .map((cell) => `<td>${cell}</td>`)
        .join('')}</tr>`,
  );
  return `<table>\n<thead><tr>${head.join('')}</tr></thead>\n<tbody>\n${body.join('\n')}\n</tbody>\n</table>`;
}

/** Formats JSON on one line, with spaces where it may wrap. */
export const oneLine = (value: unknown): string =>
  JSON.stringify(value, null, 1)
    .replaceAll(/(?<=[[{])\n *|\n *(?=[\]}])/g, '')
    .replaceAll(/\n */g, ' ');

/** Highlights the keys and values of JSON. */
export const marked = (json: string): string =>
  escape(json).replaceAll(
    /(&quot;(?:\\.|(?!&quot;).)*&quot;)(:?)|\b(true|false|null|-?\d+)\b/g,
    (_all, text: string | undefined, colon: string, atom: string | undefined) =>
      text === undefined
        ? `<span class="atom">${atom}</span>`
        : `<span class="${colon === '' ? 'string' : 'key'}">${text}</span>${colon}`,
  );

/** Renders a type, with links to named types. */
export function typeOf(schema: Schema): string {
  const { $ref, const: only, enum: values, type, items, anyOf, allOf } = schema;
  if ($ref !== undefined) {
    const name = $ref.slice($ref.lastIndexOf('/') + 1);
    return `<a href="#type-${name}">${name}</a>`;
  }
  if (only !== undefined) return code(JSON.stringify(only));
  if (values !== undefined) return values.map((value) => code(JSON.stringify(value))).join(' or ');
  const parts = anyOf ?? allOf;
  if (parts !== undefined) return parts.map(typeOf).join(' or ');
  if (items !== undefined) return `list of ${typeOf(items)}`;
  return type === undefined ? 'any' : [type].flat().join(' or ');
}
