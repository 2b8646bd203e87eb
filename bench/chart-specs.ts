import type { Row } from './results.ts';

/** A peer, in one column of a figure's rows. */
export interface Comparison {
  readonly peer: string;
  readonly column: string;
  /** The column with the median ratio of paired rounds. */
  readonly ratio: string;
  readonly goal?: string;
}

/** Describes how a table of results.json is shown. */
export interface Figure {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  caseOf(row: Row): string;
  /** The column with Parley's value. */
  readonly parley: string;
  readonly peers: readonly Comparison[];
}

const DELIVERY = 'microseconds of CPU time per delivery';
const formatSize = (row: Row, unit: string): string => `${row[unit]} ${unit} x ${row['bytes']} B`;
const formatConversations = ({ conversations }: Row): string =>
  `${conversations} ${conversations === 1 ? 'conversation' : 'conversations'}`;

export const FIGURES: readonly Figure[] = [
  {
    name: 'fan-out',
    title: 'GraphQL delivery',
    unit: DELIVERY,
    caseOf: (row) => formatSize(row, 'subscribers'),
    parley: 'parleyUs',
    peers: [
      { peer: 'bare ws', column: 'bareWsUs', ratio: 'toBareWs', goal: 'at most 1' },
      { peer: 'stock Yoga', column: 'stockYogaUs', ratio: 'toStockYoga', goal: 'at most 0.25' },
    ],
  },
  {
    name: 'legacy-fan-out',
    title: 'Socket.IO delivery',
    unit: DELIVERY,
    caseOf: (row) => formatSize(row, 'clients'),
    parley: 'parleyUs',
    peers: [
      { peer: 'bare Socket.IO room', column: 'bareRoomUs', ratio: 'toBareRoom', goal: 'at most 0.7' },
      { peer: 'Flask-SocketIO', column: 'flaskSocketIoUs', ratio: 'toFlaskSocketIo' },
    ],
  },
  {
    name: 'burst',
    title: 'Bursts',
    unit: `${DELIVERY}, 128 messages to 1,000 subscribers`,
    caseOf: (row) => String(row['clients']),
    parley: 'parleyUs',
    peers: [{ peer: 'bare server', column: 'bareUs', ratio: 'toBare', goal: 'at most 0.3' }],
  },
  {
    name: 'allocation',
    title: 'Allocation',
    unit: 'bytes allocated on the heap',
    caseOf: (row) => String(row['case']),
    parley: 'parleyBytes',
    peers: [{ peer: 'bare server', column: 'bareBytes', ratio: 'toBare' }],
  },
  {
    name: 'conversation-growth',
    title: 'A message, by conversation size',
    unit: 'microseconds of CPU time per message, 1,000 subscribers in total',
    caseOf: (row) => `${formatConversations(row)} of ${row['members']}`,
    parley: 'parleyUs',
    peers: [{ peer: 'bare ws', column: 'bareWsUs', ratio: 'toBareWs' }],
  },
  {
    name: 'growth',
    title: 'A send, by what there is already',
    unit: 'microseconds of CPU time per send',
    caseOf: (row) => `${Number(row['size']).toLocaleString('en')} ${row['axis']}s`,
    parley: 'parleyUs',
    peers: [{ peer: 'the smallest', column: 'smallestUs', ratio: 'toSmallest' }],
  },
  {
    name: 'sends',
    title: 'Sends',
    unit: 'messages per second',
    caseOf: (row) => `senders: ${row['senders']}, per conversation: ${row['perConversation']}`,
    parley: 'parleyPerSecond',
    peers: [
      { peer: 'pgbench', column: 'pgbenchPerSecond', ratio: 'toPgbench', goal: 'at 1: 0.6' },
      {
        peer: 'pgbench at its best',
        column: 'bestPgbenchPerSecond',
        ratio: 'toBestPgbench',
        goal: 'at 10: 1, at 200: 2',
      },
    ],
  },
  {
    name: 'single-send',
    title: 'A single send',
    unit: 'milliseconds',
    caseOf: () => 'sequential sends',
    parley: 'parleyMs',
    peers: [{ peer: 'unbatched', column: 'unbatchedMs', ratio: 'toUnbatched', goal: 'at most 1' }],
  },
  {
    name: 'initial-query',
    title: 'Initial query',
    unit: 'microseconds of CPU time per query',
    caseOf: formatConversations,
    parley: 'parleyUs',
    peers: [{ peer: 'Mercurius with JIT', column: 'mercuriusUs', ratio: 'toMercurius', goal: 'at most 1' }],
  },
  {
    name: 'idle-connections',
    title: 'Idle subscribers',
    unit: 'KB of resident memory per subscriber, of 10,000',
    caseOf: (row) => `${row['perConversation']} per conversation`,
    parley: 'parleyResidentKb',
    peers: [{ peer: 'bare ws', column: 'bareWsResidentKb', ratio: 'residentRatio', goal: '14 KB' }],
  },
  {
    name: 'resume',
    title: 'Resume of 1,000 events, p99',
    unit: 'milliseconds',
    caseOf: (row) => `${row['selection']}, ${row['load']}, ${row['database']}`,
    parley: 'p99Ms',
    peers: [],
  },
  {
    name: 'many-subscriptions',
    title: '1,000 subscriptions on one connection',
    unit: 'milliseconds until all are live',
    caseOf: () => 'postgres',
    parley: 'parleyMs',
    peers: [{ peer: 'bare ws', column: 'bareWsMs', ratio: 'toBareWs', goal: 'at most 1 s' }],
  },
  {
    name: 'connect-storm',
    title: '5,000 clients connect',
    unit: 'milliseconds until all are ready',
    caseOf: (row) => `${row['kind']}, ${row['database']}`,
    parley: 'parleyAllMs',
    peers: [{ peer: 'bare server', column: 'bareAllMs', ratio: 'ratio', goal: 'no failures' }],
  },
  {
    name: 'latency',
    title: 'From send to delivery, p99',
    unit: 'milliseconds, 1,000 subscribers, 10 per conversation',
    caseOf: (row) => `${row['database']}, ${row['perSecond']} sends per second`,
    parley: 'parleyP99Ms',
    peers: [{ peer: 'bare ws', column: 'bareWsP99Ms', ratio: 'p99Ratio', goal: 'at most 10' }],
  },
  {
    name: 'attacks',
    title: 'An honest client under attack, p99',
    unit: 'milliseconds',
    caseOf: (row) => String(row['attack']),
    parley: 'attackedP99Ms',
    peers: [{ peer: 'not attacked', column: 'quietP99Ms', ratio: 'toQuiet', goal: 'at most 5' }],
  },
];
