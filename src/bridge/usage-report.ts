import type { IncomingMessage, ServerResponse } from 'node:http';
import { isOutage } from '../errors.ts';
import { CHANNELS } from './contract/channels.ts';
import type { Uses, UsageSummary } from './deps.ts';
import { CONNECT } from './usage-counter.ts';

export type ReportHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

const USUAL_DAYS = 30;
/** A report reads all uses of its days: however often it is asked for, it is made once in this time. */
const FRESH_MS = 10_000;
const GAP = '   ';
const NAMES = [CONNECT, ...CHANNELS.map(({ name }) => name)];

type Row = readonly (string | number)[];

/** Answers `GET /legacy-report?days=30` as text for people: which old clients there still are, and what they use. */
export function createReportHandler(uses: Uses, noteAlive: () => void): ReportHandler {
  const reports = new Map<number, { readonly madeAt: number; readonly text: Promise<string> }>();
  const reportOf = (days: number): Promise<string> => {
    const known = reports.get(days);
    if (known !== undefined && performance.now() - known.madeAt < FRESH_MS) return known.text;
    noteAlive();
    const text = uses.read(days).then((read) => writeReport(days, read));
    reports.set(days, { madeAt: performance.now(), text });
    return text;
  };
  return async (request, response) => {
    const answer = (status: number, text: string): void => {
      const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
      response.writeHead(status, headers).end(text);
    };
    const asked = new URL(request.url ?? '/', 'http://localhost').searchParams.get('days');
    const days = asked === null ? USUAL_DAYS : /^\d{1,2}$/.test(asked) ? Number(asked) : 0;
    if (days < 1 || days > uses.keptDays)
      return answer(400, `days is a number from 1 to ${uses.keptDays}.\n`);
    try {
      answer(200, await reportOf(days));
    } catch (error) {
      reports.delete(days);
      if (!isOutage(error)) throw error;
      answer(503, 'The database is away. Try again later.\n');
    }
  };
}

/** The report as text, one column under the other. */
function writeReport(days: number, { since, until, knownSince, channels, clients }: UsageSummary): string {
  const used = new Map(channels.map((summary) => [summary.channel, summary]));
  const unused = NAMES.filter((name) => !used.has(name));
  const ofChannels = NAMES.flatMap((name): Row[] => {
    const summary = used.get(name);
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
    ...(knownSince === null || knownSince > since
      ? [`Of the days before ${knownSince ?? until} nothing is known.`]
      : []),
    ...(clients.length === 0
      ? ['There were none.']
      : [
          writeTable([['protocol', 'library', 'accounts', 'uses', 'last used'], ...ofClients]),
          writeTable([
            ['channel', 'accounts', 'protocol 3', 'protocol 4', 'uses', 'last used'],
            ...ofChannels,
          ]),
          unused.length === 0 ? 'Every channel was used.' : `Used by nobody: ${unused.join(', ')}`,
          `Protocol 3 is Socket.IO 1.x and 2.x, protocol 4 is 3.x and 4.x. An account that uses both counts in both.\n\`${CONNECT}\` stands for each connection on each day, also of clients that only listen.`,
        ]),
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
