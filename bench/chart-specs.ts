import type { Row } from './results.ts';

/** What is compared with, in one column of a figure's rows. */
export interface Comparison {
  readonly peer: string;
  readonly column: string;
  /** The column with the median of the ratios of paired rounds. */
  readonly ratio: string;
  readonly goal?: string;
}

/** A table of results.json, and how it is shown. */
export interface Figure {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  caseOf(row: Row): string;
  /** The column of Parley's own value. */
  readonly parley: string;
  readonly peers: readonly Comparison[];
}

const DELIVERY = 'microseconds of processor time for each delivery';
const size = (row: Row, of: string): string => `${row[of]} ${of} x ${row['bytes']} B`;

export const FIGURES: readonly Figure[] = [
  {
    name: 'fan-out',
    title: 'GraphQL delivery',
    unit: DELIVERY,
    caseOf: (row) => size(row, 'subscribers'),
    parley: 'parleyUs',
    peers: [
      { peer: 'bare ws', column: 'bareWsUs', ratio: 'toBareWs', goal: 'at most 1.15' },
      { peer: 'stock Yoga', column: 'stockYogaUs', ratio: 'toStockYoga', goal: 'at most 0.25' },
    ],
  },
  {
    name: 'legacy-fan-out',
    title: 'Socket.IO delivery',
    unit: DELIVERY,
    caseOf: (row) => size(row, 'clients'),
    parley: 'parleyUs',
    peers: [
      { peer: 'bare Socket.IO room', column: 'bareRoomUs', ratio: 'toBareRoom', goal: 'at most 1.05' },
      { peer: 'Flask-SocketIO', column: 'flaskSocketIoUs', ratio: 'toFlaskSocketIo' },
    ],
  },
  {
    name: 'conversation-growth',
    title: 'A message, as its conversation grows',
    unit: 'microseconds of processor time for each message, 1,000 subscribers in all',
    caseOf: (row) => `${row['conversations']} conversations of ${row['members']}`,
    parley: 'parleyUs',
    peers: [{ peer: 'bare ws', column: 'bareWsUs', ratio: 'toBareWs' }],
  },
  {
    name: 'sends',
    title: 'Sends',
    unit: 'messages each second',
    caseOf: (row) => `${row['senders']} at once, ${row['together']} in a conversation`,
    parley: 'parleyPerSecond',
    peers: [
      { peer: 'pgbench, one by one', column: 'pgbenchPerSecond', ratio: 'toPgbench', goal: 'at 200: 2, 3' },
    ],
  },
  {
    name: 'single-send',
    title: 'A lone send',
    unit: 'milliseconds',
    caseOf: () => 'one after the other',
    parley: 'parleyMs',
    peers: [{ peer: 'not gathered', column: 'aloneMs', ratio: 'toAlone', goal: 'at most 1' }],
  },
  {
    name: 'initial-query',
    title: 'The first screen',
    unit: 'microseconds of processor time for each query',
    caseOf: (row) => `${row['conversations']} conversations`,
    parley: 'parleyUs',
    peers: [{ peer: 'Mercurius with JIT', column: 'mercuriusUs', ratio: 'toMercurius', goal: 'at most 1.3' }],
  },
  {
    name: 'idle-connections',
    title: 'Idle subscribers',
    unit: 'KB of resident memory for each of 10,000',
    caseOf: (row) => `${row['together']} in a conversation`,
    parley: 'parleyResidentKb',
    peers: [{ peer: 'bare ws', column: 'bareWsResidentKb', ratio: 'residentRatio', goal: '20 KB' }],
  },
  {
    name: 'connect-storm',
    title: '5,000 clients at once',
    unit: 'milliseconds until all are ready',
    caseOf: (row) => String(row['database']),
    parley: 'parleyAllMs',
    peers: [{ peer: 'bare ws', column: 'bareWsAllMs', ratio: 'ratio', goal: 'none fails' }],
  },
  {
    name: 'latency',
    title: 'From send to delivery, p99',
    unit: 'milliseconds, 1,000 subscribers, 10 in a conversation',
    caseOf: (row) => `${row['database']}, ${row['perSecond']} sends a second`,
    parley: 'parleyP99Ms',
    peers: [{ peer: 'bare ws', column: 'bareWsP99Ms', ratio: 'p99Ratio', goal: 'at most 2' }],
  },
];
