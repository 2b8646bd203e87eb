import { send } from './api.js';
import { confirmAction } from './confirm.js';
import { findAccountId } from './connections.js';
import { formatNumber, formatTime } from './format.js';
import { showButton, showFacts } from './items.js';

const ACCOUNT = `query Account($id: ID!) {
  account(id: $id) { id kind login name createdAt isOnline connectionCount block { until reason blockedAt } }
}`;
const END_CONNECTIONS =
  'mutation End($id: ID!, $reason: String) { endAccountConnections(accountId: $id, reason: $reason) { count } }';
const REVOKE =
  'mutation Revoke($id: ID!, $reason: String) { revokeSessions(accountId: $id, reason: $reason) { id } }';
const BLOCK =
  'mutation Block($id: ID!, $until: DateTime, $reason: String!) { blockAccount(accountId: $id, until: $until, reason: $reason) { id } }';
const UNBLOCK =
  'mutation Unblock($id: ID!, $reason: String) { unblockAccount(accountId: $id, reason: $reason) { id } }';

const describeBlock = ({ until, reason, blockedAt }) =>
  `${until === null ? 'until unblocked' : `until ${formatTime(until)}`}, since ${formatTime(blockedAt)}: ${reason}`;

/** Creates the section of one account. `open(id)` shows an account. */
export function createAccount({ onChange }) {
  const byId = (id) => document.getElementById(id);
  const form = byId('find-account');
  const card = byId('account-card');
  const [facts, actions] = [card.querySelector('.facts'), card.querySelector('.actions')];
  const problem = byId('account-problem');
  let accountId;

  /** Creates an action that is confirmed, and then runs a mutation on the account. */
  const action = (label, mutation, effect, options = {}) => ({
    label,
    isDanger: options.isDanger === true,
    act: (account) =>
      confirmAction({
        title: `${label}: ${account.login}`,
        effect,
        label,
        ...options,
        async run({ reason, until }) {
          await send(mutation, { id: account.id, reason, ...(options.hasEnd && { until }) });
          await onChange();
        },
      }),
  });
  const END = action(
    'End connections',
    END_CONNECTIONS,
    'Closes all its connections. Its clients connect again.',
  );
  const REVOKE_SESSIONS = action(
    'Revoke sessions',
    REVOKE,
    'Ends all its sessions, on every node. It may log in again.',
    { isDanger: true },
  );
  const block = (label) =>
    action(label, BLOCK, 'Ends all its sessions, and refuses its logins and tokens on both APIs.', {
      isDanger: true,
      hasEnd: true,
      needsReason: true,
    });
  const UNBLOCK_ACCOUNT = action('Unblock', UNBLOCK, 'It may log in again.');

  function show(account) {
    showFacts(facts, {
      [account.kind === 'USER' ? 'E-mail' : 'Username']: account.login,
      Name: account.name,
      Id: account.id,
      Created: formatTime(account.createdAt),
      Presence: account.isOnline ? 'online' : 'offline',
      Connections: formatNumber(account.connectionCount),
      Blocked: account.block === null ? 'no' : describeBlock(account.block),
    });
    const isBlocked = account.block !== null;
    const shown = [
      END,
      REVOKE_SESSIONS,
      ...(isBlocked ? [block('Change the block'), UNBLOCK_ACCOUNT] : [block('Block')]),
    ];
    const others = [...actions.children].filter(
      (button) => !shown.some(({ label }) => label === button.dataset.action),
    );
    for (const button of others) button.remove();
    for (const { label, isDanger, act } of shown)
      showButton(actions, label, { item: account, isDanger, act });
    card.hidden = false;
  }

  async function refresh() {
    if (accountId === undefined) return;
    try {
      const { account } = await send(ACCOUNT, { id: accountId });
      problem.textContent = account === null ? `There is no account ${accountId}.` : '';
      if (account === null) card.hidden = true;
      else show(account);
    } catch (error) {
      if (error.code !== 'INVALID_INPUT') throw error;
      problem.textContent = error.message;
      card.hidden = true;
    }
  }

  async function find(text) {
    try {
      accountId = await findAccountId(text);
      await refresh();
    } catch (error) {
      problem.textContent = error.message;
      card.hidden = true;
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void find(form.elements.account.value.trim());
  });

  return {
    refresh,
    async open(id) {
      form.elements.account.value = id;
      byId('account').scrollIntoView();
      byId('account').focus({ preventScroll: true });
      await find(id);
    },
  };
}
