import { startNginxWith } from '../test/harness/nginx.ts';
import type { Proxy } from '../test/harness/nginx.ts';

export interface BalancedNode {
  /** Its NODE_NAME. */
  readonly name: string;
  /** Host and port. */
  readonly address: string;
}

const CHECK_INTERVAL_MS = 200;
const CHECK_TIMEOUT_MS = 1_000;

/** Starts nginx in front of nodes, as in deploy/nginx, with new clients only for nodes that are ready. */
export async function startBalancer(nodes: readonly BalancedNode[]): Promise<Proxy> {
  let ready = nodes;
  const nginx = await startNginxWith((port) => configOf(port, nodes, ready));
  const check = async (): Promise<void> => {
    const states = await Promise.all(nodes.map(readStateOf));
    const nowReady = nodes.filter((node, index) => states[index] ?? ready.includes(node));
    // With none ready, nginx would refuse all: better the nodes that were.
    const isSame = nowReady.every((node) => ready.includes(node)) && nowReady.length === ready.length;
    if (isSame || nowReady.length === 0) return;
    ready = nowReady;
    await nginx.reload((port) => configOf(port, nodes, ready));
  };
  let checking: Promise<void> | undefined;
  const timer = setInterval(
    () => void (checking ??= check().finally(() => (checking = undefined))),
    CHECK_INTERVAL_MS,
  );
  return {
    url: nginx.url,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await checking;
      await nginx[Symbol.asyncDispose]();
    },
  };
}

/** Returns whether the node is ready; undefined if it does not respond in time, which a busy machine causes too. */
async function readStateOf({ address }: BalancedNode): Promise<boolean | undefined> {
  try {
    const { status } = await fetch(`http://${address}/readyz`, {
      signal: AbortSignal.timeout(CHECK_TIMEOUT_MS),
    });
    return status === 200;
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    return cause?.code === 'ECONNREFUSED' ? false : undefined;
  }
}

function configOf(port: number, nodes: readonly BalancedNode[], ready: readonly BalancedNode[]): string {
  const servers = ready.map(({ address }) => `server ${address} max_fails=0;`).join(' ');
  const sessions = nodes.map(({ name, address }) => `~^${name}\\. ${address};`).join(' ');
  return `
    map $http_upgrade $connection_header { default upgrade; '' ''; }
    map $arg_sid $node { ${sessions} default ready; }
    upstream ready { least_conn; ${servers} }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      location / {
        proxy_pass http://$node;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_header;
        proxy_buffering off;
        proxy_read_timeout 90s;
        proxy_connect_timeout 5s;
        proxy_next_upstream error timeout http_503;
      }
    }`;
}
