import { createAccount } from './account.js';
import { forgetToken, keepToken, readToken, send } from './api.js';
import { createAudit } from './audit.js';
import { createConnections } from './connections.js';
import { createCluster } from './cluster.js';
import { formatNow } from './format.js';

const REFRESH_MS = 5_000;
const byId = (id) => document.getElementById(id);

const gate = byId('gate');
let isPaused = false;
let timer;

const account = createAccount({ onChange: () => refresh() });
const connections = createConnections({ onAccount: account.open, onChange: () => refresh() });
const sections = [
  createCluster({ onFilter: connections.filter, connections }),
  connections,
  account,
  createAudit(),
];

/** Shows the form for the token, with why the last one was refused. */
function askForToken() {
  const isRefused = readToken() !== null;
  forgetToken();
  clearTimeout(timer);
  byId('console').hidden = true;
  byId('pause').hidden = true;
  byId('forget').hidden = true;
  byId('freshness').textContent = '';
  gate.hidden = false;
  gate.querySelector('.refusal').textContent = isRefused ? 'The gateway refuses this token.' : '';
  byId('token').focus();
}

function showConsole() {
  gate.hidden = true;
  byId('console').hidden = false;
  byId('pause').hidden = false;
  const hasToken = readToken() !== null;
  byId('forget').hidden = !hasToken;
  for (const link of document.querySelectorAll('.tokenless')) link.hidden = hasToken;
}

function showProblem(text) {
  byId('notice').hidden = text === '';
  byId('notice').textContent = text;
}

/** Reads everything again. A section shows its own errors; those of the gateway as a whole are thrown. */
async function refresh() {
  clearTimeout(timer);
  try {
    await Promise.all(sections.map((section) => section.refresh()));
    showConsole();
    showProblem('');
    byId('freshness').textContent = `As of ${formatNow()}`;
  } catch (error) {
    if (error.code === 'UNAUTHENTICATED') return askForToken();
    showProblem(`Not refreshed: ${error.message}`);
  }
  clearTimeout(timer);
  if (!isPaused && !document.hidden) timer = setTimeout(() => void refresh(), REFRESH_MS);
}

gate.addEventListener('submit', (event) => {
  event.preventDefault();
  keepToken(byId('token').value);
  byId('token').value = '';
  void refresh();
});

byId('pause').addEventListener('click', () => {
  isPaused = !isPaused;
  byId('pause').textContent = isPaused ? 'Resume' : 'Pause';
  if (isPaused) clearTimeout(timer);
  else void refresh();
});

byId('forget').addEventListener('click', () => {
  forgetToken();
  askForToken();
});

document.addEventListener('visibilitychange', () => {
  if (!document.hidden && gate.hidden && !isPaused) void refresh();
});

// Without a token the gateway may serve this machine.
send('{ __typename }').then(refresh, (error) => {
  if (error.code === 'UNAUTHENTICATED') askForToken();
  else void refresh();
});
