import { send } from './api.js';
import { confirmAction } from './confirm.js';
import { formatAge, formatBytes, formatNode, formatNumber, formatTime, formatTransport } from './format.js';
import { createTable, setText, showButton, showItems } from './items.js';
import { element } from '../element.js';

const LIST = `query Connections($after: String, $accountId: ID, $transport: Transport, $topic: String, $orderBy: ConnectionOrder!) {
  connections(first: 25, after: $after, accountId: $accountId, transport: $transport, topic: $topic, orderBy: $orderBy) {
    nodes {
      id transport protocol client account address node nodeName since behind waitingBytes subscriptionCount
      subscriptions { id topic operation behind }
    }
    pageInfo { hasNextPage endCursor }
    unreachableNodes
  }
}`;
const FIND_BY_EMAIL = 'query Account($email: String!) { account: accountByEmail(email: $email) { id } }';
const END_CONNECTION =
  'mutation End($id: ID!, $reason: String) { endConnection(id: $id, reason: $reason) { id } }';
const END_SUBSCRIPTION = `mutation End($connectionId: ID!, $id: ID!, $reason: String) {
  endSubscription(connectionId: $connectionId, id: $id, reason: $reason)
}`;

/** Returns the id of an account that an operator typed: the id itself, or that of the account with the e-mail. */
export async function findAccountId(text) {
  if (!text.includes('@')) return text;
  const { account } = await send(FIND_BY_EMAIL, { email: text });
  if (account === null) throw new Error(`No account has the e-mail ${text}.`);
  return account.id;
}

/** Creates the list of connections. `columns` are those that the list of slow readers has, too. */
export function createConnections({ onAccount, onChange }) {
  const byId = (id) => document.getElementById(id);
  const filters = byId('filters');
  const problem = byId('connections-problem');
  let variables = { orderBy: 'SINCE' };
  let endCursor = null;

  const end = (connection) =>
    confirmAction({
      title: 'End the connection',
      effect: `Closes the connection of ${connection.account ?? 'a client without a login'} at ${connection.address}. Its client connects again, and misses nothing.`,
      label: 'End',
      async run({ reason }) {
        await send(END_CONNECTION, { id: connection.id, reason });
        await onChange();
      },
    });
  const endSubscription = ({ connection, subscription }) =>
    confirmAction({
      title: 'End the subscription',
      effect: `Ends ${subscription.operation ?? 'the subscription'} to ${subscription.topic ?? 'its topic'} with an error. Its client does not subscribe again on its own.`,
      label: 'End',
      async run({ reason }) {
        await send(END_SUBSCRIPTION, { connectionId: connection.id, id: subscription.id, reason });
        await onChange();
      },
    });

  const columns = [
    {
      title: 'Account',
      show(cell, item) {
        if (item.account === null) return setText(cell, 'no login');
        if (cell.firstElementChild === null) cell.replaceChildren();
        showButton(cell, item.account, { item, act: ({ account }) => onAccount(account) });
      },
    },
    { title: 'Transport', text: ({ transport }) => formatTransport(transport) },
    {
      title: 'Client',
      className: 'client-name',
      show(cell, { client, protocol }) {
        const text = client ?? protocol ?? '';
        setText(cell, text);
        cell.title = text;
      },
    },
    { title: 'Address', text: ({ address }) => address },
    {
      title: 'Node',
      show(cell, { node, nodeName }) {
        setText(cell, formatNode({ id: node, name: nodeName }));
        cell.title = node;
      },
    },
    {
      title: 'Open for',
      className: 'number',
      show(cell, { since }) {
        setText(cell, formatAge(since));
        cell.title = formatTime(since);
      },
    },
    { title: '', show: (cell, item) => showButton(cell, 'End', { item, isDanger: true, act: end }) },
  ];

  /** The subscriptions of a connection, in a list that opens. */
  function showSubscriptions(cell, connection) {
    const { subscriptions, subscriptionCount, transport } = connection;
    if (cell.firstElementChild === null) {
      const details = element('details');
      details.append(element('summary'), element('ul', 'subscriptions'));
      cell.append(details);
    }
    const [summary, list] = cell.firstElementChild.children;
    setText(summary, `${formatNumber(subscriptionCount)}`);
    showItems(list, subscriptions, {
      keyOf: ({ id }) => id,
      create: () => {
        const item = element('li');
        item.append(element('span'));
        return item;
      },
      update(item, subscription) {
        const { topic, operation, behind } = subscription;
        const parts = [topic, operation, behind > 0 ? `${formatNumber(behind)} behind` : null];
        setText(item.firstElementChild, parts.filter((part) => part !== null).join(' · '));
        if (transport !== 'SOCKET_IO')
          showButton(item, 'End', { item: { connection, subscription }, act: endSubscription });
      },
    });
  }

  const showList = createTable(byId('list'), {
    keyOf: ({ id }) => id,
    empty: 'No connection matches.',
    columns: [
      ...columns.slice(0, -1),
      { title: 'Subscriptions', show: showSubscriptions },
      { title: 'Behind', className: 'number', text: ({ behind }) => formatNumber(behind) },
      { title: 'Bytes waiting', className: 'number', text: ({ waitingBytes }) => formatBytes(waitingBytes) },
      columns.at(-1),
    ],
  });

  async function refresh() {
    try {
      const { connections } = await send(LIST, variables);
      const { nodes, pageInfo, unreachableNodes } = connections;
      showList(nodes);
      endCursor = pageInfo.hasNextPage ? pageInfo.endCursor : null;
      byId('first-page').disabled = variables.after === undefined;
      byId('next-page').disabled = endCursor === null;
      problem.textContent =
        unreachableNodes.length === 0
          ? ''
          : `The connections of ${unreachableNodes.length} nodes are missing: they do not answer.`;
    } catch (error) {
      if (error.code !== 'INVALID_INPUT') throw error;
      problem.textContent = error.message;
    }
  }

  async function applyFilters() {
    const { account, transport, topic, orderBy } = Object.fromEntries(new FormData(filters));
    try {
      variables = {
        orderBy,
        ...(account.trim() !== '' && { accountId: await findAccountId(account.trim()) }),
        ...(transport !== '' && { transport }),
        ...(topic.trim() !== '' && { topic: topic.trim() }),
      };
      await refresh();
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  filters.addEventListener('submit', (event) => {
    event.preventDefault();
    void applyFilters();
  });
  const showPage = (after) => {
    variables = { ...variables, after };
    void refresh().catch((error) => (problem.textContent = error.message));
  };
  byId('first-page').addEventListener('click', () => showPage(undefined));
  byId('next-page').addEventListener('click', () => showPage(endCursor));

  return {
    columns,
    refresh,
    /** Shows the connections that match, and nothing else. */
    filter(values) {
      filters.reset();
      for (const [name, value] of Object.entries(values)) filters.elements[name].value = value;
      byId('connections').scrollIntoView();
      byId('connections').focus({ preventScroll: true });
      void applyFilters();
    },
  };
}
