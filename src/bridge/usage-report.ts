import type { IncomingMessage, ServerResponse } from 'node:http';
import { isOutage } from '../errors.ts';
import { CHANNELS } from './contract/channels.ts';
import type { UsageLog } from './deps.ts';
import type { UsageReport } from '../services/channel-usage.ts';
import { CONNECT_CHANNEL } from './usage-counter.ts';

export type ReportHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

const DEFAULT_DAYS = 30;
/** A report aggregates all usage of its days, which is expensive: it is cached for this time. */
const REPORT_CACHE_MS = 10_000;
const COLUMN_GAP = '   ';
const CHANNEL_NAMES = [CONNECT_CHANNEL, ...CHANNELS.map(({ name }) => name)];

type Row = readonly (string | number)[];

/**
 * Handles `GET /legacy-report?days=30`: a plain-text report on which legacy clients still connect, and which channels they
 * use. Calls `countUsage` before it reads, to include the connections that are open now.
 */
export function createReportHandler(usage: UsageLog, countUsage: () => void): ReportHandler {
  const reports = new Map<number, { readonly createdAt: number; readonly text: Promise<string> }>();
  const readReport = (days: number): Promise<string> => {
    const cached = reports.get(days);
    if (cached !== undefined && performance.now() - cached.createdAt < REPORT_CACHE_MS) return cached.text;
    countUsage();
    const text = usage.read(days).then((report) => formatReport(days, report));
    reports.set(days, { createdAt: performance.now(), text });
    return text;
  };
  return async (request, response) => {
    const respond = (status: number, text: string): void => {
      const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
      response.writeHead(status, headers).end(text);
    };
    const daysParam = new URL(request.url ?? '/', 'http://localhost').searchParams.get('days');
    const days = daysParam === null ? DEFAULT_DAYS : /^\d{1,2}$/.test(daysParam) ? Number(daysParam) : 0;
    if (days < 1 || days > usage.retentionDays)
      return respond(400, `days is a number from 1 to ${usage.retentionDays}.\n`);
    try {
      respond(200, await readReport(days));
    } catch (error) {
      reports.delete(days);
      if (!isOutage(error)) throw error;
      respond(503, 'The database is unavailable. Try again later.\n');
    }
  };
}

function formatReport(days: number, { since, until, knownSince, channels, clients }: UsageReport): string {
  const summaries = new Map(channels.map((summary) => [summary.channel, summary]));
  const unusedChannels = CHANNEL_NAMES.filter((name) => !summaries.has(name));
  const channelRows = CHANNEL_NAMES.flatMap((name): Row[] => {
    const summary = summaries.get(name);
    if (summary === undefined) return [];
    const { accounts, accountsOfProtocol3, accountsOfProtocol4, uses, lastDay } = summary;
    return [[name, accounts, accountsOfProtocol3, accountsOfProtocol4, uses, lastDay]];
  });
  const clientRows = clients.map(({ protocol, library, accounts, uses, lastDay }): Row => [
    protocol,
    library,
    accounts,
    uses,
    lastDay,
  ]);
  const paragraphs = [
    `Legacy clients from ${since} to ${until} (${days} days, UTC)`,
    ...(knownSince === null || knownSince > since ? [`No data before ${knownSince ?? until}.`] : []),
    ...(clients.length === 0
      ? ['No legacy clients connected.']
      : [
          formatTable([['protocol', 'library', 'accounts', 'uses', 'last used'], ...clientRows]),
          formatTable([
            ['channel', 'accounts', 'protocol 3', 'protocol 4', 'uses', 'last used'],
            ...channelRows,
          ]),
          unusedChannels.length === 0 ? 'Every channel was used.' : `Not used: ${unusedChannels.join(', ')}`,
          `Protocol 3 is Socket.IO 1.x and 2.x, protocol 4 is 3.x and 4.x. An account that uses both counts in both.\n\`${CONNECT_CHANNEL}\` counts each connection once per day, clients that only listen included.`,
        ]),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

/** Aligns text to the left and numbers to the right. The first row is the header. */
function formatTable(rows: readonly Row[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => formatCell(row[column]).length)),
  );
  const isNumber = widths.map((_, column) => typeof rows[1]?.[column] === 'number');
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return isNumber[column] === true
            ? formatCell(cell).padStart(width)
            : formatCell(cell).padEnd(width);
        })
        .join(COLUMN_GAP)
        .trimEnd(),
    )
    .join('\n');
}

const formatCell = (cell: string | number | undefined): string =>
  typeof cell === 'number' ? cell.toLocaleString('en') : (cell ?? '');
