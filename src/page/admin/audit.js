import { send } from './api.js';
import { formatTime } from './format.js';
import { createTable, setText } from './items.js';

const AUDIT_LOG = `query AuditLog($first: Int!) {
  auditLog(first: $first) {
    nodes { id at action arguments reason address node nodeName outcome }
    pageInfo { hasNextPage }
  }
}`;
const PAGE_SIZE = 20;
/** The longest page of the API. */
const MAX_SIZE = 100;

const formatArguments = (values) =>
  Object.entries(values)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');

/** Creates the section of the audit log. */
export function createAudit() {
  const byId = (id) => document.getElementById(id);
  let size = PAGE_SIZE;
  const show = createTable(byId('audit'), {
    keyOf: ({ id }) => id,
    empty: 'No operator has done anything yet.',
    columns: [
      { title: 'Time', text: ({ at }) => formatTime(at) },
      { title: 'Action', text: ({ action }) => action },
      { title: 'Arguments', className: 'long', text: ({ arguments: values }) => formatArguments(values) },
      { title: 'Reason', className: 'long', text: ({ reason }) => reason ?? '' },
      {
        title: 'Outcome',
        show(cell, { outcome }) {
          setText(cell, outcome ?? 'unknown');
          cell.dataset.good = outcome === 'OK';
        },
      },
      { title: 'Operator', text: ({ address }) => address },
      { title: 'Node', text: ({ node, nodeName }) => nodeName ?? node.slice(0, 8) },
    ],
  });
  const refresh = async () => {
    const { auditLog } = await send(AUDIT_LOG, { first: size });
    show(auditLog.nodes);
    byId('older').hidden = !auditLog.pageInfo.hasNextPage || size === MAX_SIZE;
  };
  byId('older').addEventListener('click', () => {
    size = MAX_SIZE;
    void refresh().catch((error) => (byId('audit-problem').textContent = error.message));
  });
  return { refresh };
}
