import { send } from './api.js';
import { formatAge, formatBytes, formatNode, formatNumber, formatTime, formatTransport } from './format.js';
import { createTable, setText, showButton, showFacts } from './items.js';

const CLUSTER = `query Cluster {
  nodes {
    id name version isReachable address startedAt eventLoopDelayMs bus degradation logLag
    connections { transport protocol client count }
    ends { transport reason count }
  }
  topics(first: 10) { topic readers }
  slow: connections(first: 8, orderBy: WAITING_BYTES) { nodes { ...Reader } }
  behind: connections(first: 8, orderBy: BEHIND) { nodes { ...Reader } }
}
fragment Reader on LiveConnection { id transport client account address node nodeName since behind waitingBytes }`;

/** Sums the counts of items that have the same key. */
function sumBy(items, keyOf) {
  const sums = new Map();
  for (const item of items) {
    const known = sums.get(keyOf(item));
    if (known === undefined) sums.set(keyOf(item), { ...item });
    else known.count += item.count;
  }
  return [...sums.values()].sort((a, b) => b.count - a.count);
}

/** Shows a number with a bar, as a share of the greatest. */
function showShare(cell, count, greatest) {
  cell.classList.add('share');
  cell.style.setProperty('--share', greatest === 0 ? 0 : count / greatest);
  setText(cell, formatNumber(count));
}

const countColumn = (title) => ({
  title,
  className: 'number',
  show: (cell, { count, greatest }) => showShare(cell, count, greatest),
});

const withGreatest = (items) => items.map((item) => ({ ...item, greatest: items[0].count }));

function describeState({ isReachable, degradation, bus }) {
  if (!isReachable) return 'does not answer';
  return degradation ?? (bus === 'DISCONNECTED' ? 'bus disconnected' : 'good');
}

/** The protocol tells the generations of Socket.IO clients apart; of GraphQL it repeats the transport. */
const describeClient = ({ transport, protocol, client }) =>
  transport === 'SOCKET_IO' ? [protocol, client].filter((part) => part !== null).join(', ') : protocol;

/** Creates the sections about the cluster: nodes, kinds of connections, topics, ends and slow readers. */
export function createCluster({ onFilter, connections }) {
  const byId = (id) => document.getElementById(id);
  const showNodes = createTable(byId('nodes'), {
    keyOf: ({ id }) => id,
    empty: 'No node.',
    columns: [
      {
        title: 'Node',
        show(cell, node) {
          setText(cell, formatNode(node));
          cell.title = node.id;
        },
      },
      {
        title: 'State',
        show(cell, node) {
          const state = describeState(node);
          setText(cell, state);
          cell.dataset.good = state === 'good';
        },
      },
      { title: 'Connections', className: 'number', text: ({ count }) => formatNumber(count) },
      {
        title: 'Event loop, p99',
        className: 'number',
        text: ({ eventLoopDelayMs: ms }) => (ms === null ? '' : `${formatNumber(Math.round(ms))} ms`),
      },
      { title: 'Log lag', className: 'number', text: ({ logLag }) => formatNumber(logLag) },
      { title: 'Bus', text: ({ bus }) => (bus === null || bus === 'NONE' ? '' : bus.toLowerCase()) },
      {
        title: 'Running for',
        show(cell, { startedAt }) {
          setText(cell, formatAge(startedAt));
          cell.title = formatTime(startedAt);
        },
      },
      { title: 'Version', text: ({ version }) => version ?? '' },
      { title: 'Address', text: ({ address }) => address ?? '' },
    ],
  });
  const showKinds = createTable(byId('kinds'), {
    keyOf: ({ transport, protocol, client }) => JSON.stringify([transport, protocol, client]),
    empty: 'No connection.',
    columns: [
      { title: 'Transport', text: ({ transport }) => formatTransport(transport) },
      { title: 'Client', className: 'long', text: describeClient },
      countColumn('Open'),
    ],
  });
  const showTopics = createTable(byId('topics'), {
    keyOf: ({ topic }) => topic,
    empty: 'No topic has a reader.',
    columns: [
      {
        title: 'Topic',
        show(cell, item) {
          showButton(cell, item.topic, { item, act: ({ topic }) => onFilter({ topic }) });
        },
      },
      countColumn('Readers'),
    ],
  });
  const showEnds = createTable(byId('ends'), {
    keyOf: ({ transport, reason }) => `${transport} ${reason}`,
    empty: 'None.',
    columns: [
      { title: 'Reason', text: ({ reason }) => reason },
      { title: 'Transport', text: ({ transport }) => formatTransport(transport) },
      countColumn('Connections'),
    ],
  });
  const showSlow = createTable(byId('slow'), {
    keyOf: ({ id }) => id,
    empty: 'No client is behind, and no bytes wait.',
    columns: [
      { title: 'Bytes waiting', className: 'number', text: ({ waitingBytes }) => formatBytes(waitingBytes) },
      { title: 'Behind', className: 'number', text: ({ behind }) => formatNumber(behind) },
      ...connections.columns,
    ],
  });

  return {
    async refresh() {
      const { nodes, topics, slow, behind } = await send(CLUSTER);
      const counted = nodes.map((node) => ({
        ...node,
        count: node.isReachable ? node.connections.reduce((sum, { count }) => sum + count, 0) : null,
      }));
      const readers = new Map([...slow.nodes, ...behind.nodes].map((reader) => [reader.id, reader]));
      const slowReaders = [...readers.values()].filter(
        ({ behind: events, waitingBytes }) => events > 0 || waitingBytes > 0,
      );
      showNodes(counted);
      showKinds(
        withGreatest(
          sumBy(
            nodes.flatMap((node) => node.connections),
            (kind) => JSON.stringify([kind.transport, kind.protocol, kind.client]),
          ),
        ),
      );
      showEnds(
        withGreatest(
          sumBy(
            nodes.flatMap((node) => node.ends),
            ({ transport, reason }) => `${transport} ${reason}`,
          ),
        ),
      );
      showTopics(withGreatest(topics.map(({ topic, readers: count }) => ({ topic, count }))));
      showSlow(slowReaders);
      showFacts(byId('overview'), {
        Nodes: formatNumber(nodes.length),
        Connections: formatNumber(counted.reduce((sum, { count }) => sum + (count ?? 0), 0)),
        'Slow readers': formatNumber(slowReaders.length),
        'Nodes with a problem': formatNumber(nodes.filter((node) => describeState(node) !== 'good').length),
      });
    },
  };
}
