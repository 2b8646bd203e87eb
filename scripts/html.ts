// Renders the parts of the channels page as HTML: text, inline Markdown, JSON, tables, and types of JSON Schemas.

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

export const escapeHtml = (text: string): string =>
  text.replaceAll(/[&<>"]/g, (char) => ENTITIES[char] ?? char);

export const renderCode = (text: string): string => `<code>${escapeHtml(text)}</code>`;

/** Renders inline Markdown: code and strong text. */
export const renderMarkdown = (markdown: string): string =>
  escapeHtml(markdown)
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
    .replaceAll(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>');

/** Renders a table without its empty columns. */
export function renderTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
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
export const formatOnOneLine = (value: unknown): string =>
  JSON.stringify(value, null, 1)
    .replaceAll(/(?<=[[{])\n *|\n *(?=[\]}])/g, '')
    .replaceAll(/\n */g, ' ');

/** Highlights the keys and values of JSON. */
export const highlightJson = (json: string): string =>
  escapeHtml(json).replaceAll(
    /(&quot;(?:\\.|(?!&quot;).)*&quot;)(:?)|\b(true|false|null|-?\d+)\b/g,
    (_all, text: string | undefined, colon: string, atom: string | undefined) =>
      text === undefined
        ? `<span class="atom">${atom}</span>`
        : `<span class="${colon === '' ? 'string' : 'key'}">${text}</span>${colon}`,
  );

/** Renders a type, with links to named types. */
export function renderType(schema: Schema): string {
  const { $ref, const: constant, enum: values, type, items, anyOf, allOf } = schema;
  if ($ref !== undefined) {
    const name = $ref.slice($ref.lastIndexOf('/') + 1);
    return `<a href="#type-${name}">${name}</a>`;
  }
  if (constant !== undefined) return renderCode(JSON.stringify(constant));
  if (values !== undefined) return values.map((value) => renderCode(JSON.stringify(value))).join(' or ');
  const parts = anyOf ?? allOf;
  if (parts !== undefined) return parts.map(renderType).join(' or ');
  if (items !== undefined) return `list of ${renderType(items)}`;
  return type === undefined ? 'any' : [type].flat().join(' or ');
}
