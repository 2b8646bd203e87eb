import type { IncomingMessage, ServerResponse } from 'node:http';
import { CHANNELS } from './channels.ts';

/** What was used since a day, by how many accounts. */
export interface Uses {
  readonly since: string;
  readonly until: string;
  readonly channels: readonly (Summary & { readonly channel: string })[];
  readonly clients: readonly (Summary & { readonly protocol: number; readonly library: string })[];
}

interface Summary {
  readonly accounts: number;
  readonly accountsOfProtocol3: number;
  readonly accountsOfProtocol4: number;
  readonly uses: number;
  readonly lastDay: string;
}

const USUAL_DAYS = 30;
const MAX_DAYS = 90;
const GAP = '   ';

type Row = readonly (string | number)[];

/** Answers `GET /legacy-report?days=30` as text for people: which old clients there still are, and what they use. */
export async function answerReport(
  request: IncomingMessage,
  response: ServerResponse,
  readUses: (days: number) => Promise<Uses>,
): Promise<void> {
  const asked = new URL(request.url ?? '/', 'http://localhost').searchParams.get('days');
  const days = asked === null ? USUAL_DAYS : /^\d{1,2}$/.test(asked) ? Number(asked) : 0;
  if (days < 1 || days > MAX_DAYS) {
    response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(`days is a number from 1 to ${MAX_DAYS}.\n`);
    return;
  }
  const text = writeReport(days, await readUses(days));
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(text);
}

/** The report as text, one column under the other. */
function writeReport(days: number, { since, until, channels, clients }: Uses): string {
  const usedChannels = new Map(channels.map((summary) => [summary.channel, summary]));
  const unused = CHANNELS.map(({ name }) => name).filter((name) => !usedChannels.has(name));
  const ofChannels = CHANNELS.flatMap(({ name }): Row[] => {
    const summary = usedChannels.get(name);
    if (summary === undefined) return [];
    const { accounts, accountsOfProtocol3, accountsOfProtocol4, uses, lastDay } = summary;
    return [[name, accounts, accountsOfProtocol3, accountsOfProtocol4, uses, lastDay]];
  });
  const ofClients = clients.map(({ protocol, library, accounts, uses, lastDay }): Row => [
    protocol,
    library,
    accounts,
    uses,
    lastDay,
  ]);
  const paragraphs = [
    `Legacy clients from ${since} to ${until} (${days} days, UTC)`,
    clients.length === 0
      ? 'There were none: nothing needs the Socket.IO side any more.'
      : [
          writeTable([['protocol', 'library', 'accounts', 'events', 'last used'], ...ofClients]),
          writeTable([
            ['channel', 'accounts', 'protocol 3', 'protocol 4', 'events', 'last used'],
            ...ofChannels,
          ]),
          unused.length === 0 ? 'Every channel was used.' : `Used by nobody: ${unused.join(', ')}`,
        ].join('\n\n'),
    'Protocol 3 is Socket.IO 1.x and 2.x, protocol 4 is 3.x and 4.x. An account that uses both counts in both.',
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

/** Text to the left, numbers to the right; the first row names the columns. */
function writeTable(rows: readonly Row[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => show(row[column]).length)));
  const isNumber = widths.map((_, column) => typeof rows[1]?.[column] === 'number');
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return isNumber[column] === true ? show(cell).padStart(width) : show(cell).padEnd(width);
        })
        .join(GAP)
        .trimEnd(),
    )
    .join('\n');
}

const show = (cell: string | number | undefined): string =>
  typeof cell === 'number' ? cell.toLocaleString('en') : (cell ?? '');
