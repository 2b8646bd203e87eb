const number = new Intl.NumberFormat(undefined);
const time = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

export const formatNumber = (value) => (value === null ? '' : number.format(value));

export const formatTime = (text) => (text === null ? '' : time.format(new Date(text)));

export const formatNow = () => clock.format(Date.now());

/** Formats the time since then, in the largest unit. */
export function formatAge(text) {
  if (text === null) return '';
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(text)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`;
}

export function formatBytes(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000
    ? `${number.format(Math.round(bytes / 1_000))} KB`
    : `${number.format(Math.round(bytes / 100_000) / 10)} MB`;
}

const TRANSPORTS = { GRAPHQL_WS: 'GraphQL over WebSocket', SSE: 'GraphQL over SSE', SOCKET_IO: 'Socket.IO' };
export const formatTransport = (transport) => TRANSPORTS[transport] ?? transport;

/** Nodes are named by their setting, or by the start of their id. */
export const formatNode = ({ id, name }) => name ?? id.slice(0, 8);
