import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { VARIABLES } from '../../src/config-variables.ts';
import { ROOT } from '../harness/program.ts';
import { readImage } from './dockerfile.ts';
import { DEPLOY, readSample } from './samples.ts';

// Samples agree with the program, and with each other.

/** Time for what is in flight when the connections are closed, as docs/operations.md says. */
const IN_FLIGHT_MS = 5_000;

const compose = parse(readSample('compose.yaml'), { merge: true }) as {
  services: Record<
    string,
    { environment: Record<string, string>; stop_grace_period: string; ulimits: { nofile: number } }
  >;
};
const unit = Array.from(
  readSample('systemd/parley.service').matchAll(/^(\w+)=(.*)$/gm),
  ([, name = '', value = '']) => [name, value] as const,
);
const unitSettings = Object.fromEntries(
  unit
    .filter(([name]) => name === 'Environment')
    .flatMap(([, value]) => value.split(' ').map((pair) => pair.split('=') as [string, string])),
);
const unitValue = (wanted: string) => Number(unit.find(([name]) => name === wanted)?.[1]);
const kubernetesSettings = Object.fromEntries(
  readSample('kubernetes/settings.env')
    .trim()
    .split('\n')
    .map((line) => line.split('=', 2) as [string, string]),
);
const statefulSet = parseAllDocuments(readSample('kubernetes/nodes.yaml'), { merge: true })[0]?.toJS() as {
  spec: { template: { spec: Pod } };
};
const pod = statefulSet.spec.template.spec;

interface Probe {
  readonly httpGet: { readonly path: string };
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureThreshold: number;
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly {
    readonly ports: readonly { readonly containerPort: number }[];
    readonly startupProbe: Probe;
    readonly livenessProbe: Probe;
    readonly readinessProbe: Probe;
  }[];
}

const image = Object.fromEntries(
  readImage()
    .filter(({ keyword }) => keyword === 'ENV')
    .flatMap(({ text }) => text.split(' ').map((pair) => pair.split('=') as [string, string])),
);
const nodeSettings = Object.entries(compose.services)
  .filter(([name]) => name.startsWith('parley-'))
  .map(([, { environment }]) => environment);
const [container] = pod.containers;

/** Names of other programs and of the samples themselves. */
const OTHER_NAMES =
  /^(?:PUBLIC_HOST|EXTERNAL_ADDRESS|SITE_ADDRESS|PARLEY_PORT|TURN_SECRET_OTHER|SECRET_OF_COTURN|NODE_VERSION|POSTGRES_\w+|REDIS_PASSWORD|REDISCLI_AUTH|NET_BIND_SERVICE|MESSAGES_PER_SECOND|MARGIN_SECONDS|AF_\w+|RETRY_MS|[A-Z]+_(?:ACCOUNT|CIRCLE|CONVERSATION|MESSAGE))$/;

test('every setting in the samples is one of Parley', () => {
  const files = readdirSync(DEPLOY, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/(?:grafana|prometheus|opentelemetry|certificates)\/|\/\.env$/.test(path));
  const names = new Set(
    files.flatMap((path) => readFileSync(path, 'utf8').match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? []),
  );
  const settings = [...names].filter((name) => !OTHER_NAMES.test(name));
  expect(settings.length).toBeGreaterThan(15);
  expect(settings.filter((name) => !(name in VARIABLES))).toEqual([]);
  const given = [image, unitSettings, kubernetesSettings, ...nodeSettings].flatMap((set) => Object.keys(set));
  expect(given.filter((name) => !(name in VARIABLES))).toEqual([]);
});

test('a node that stops has the time that its drain takes', () => {
  const graces = [
    ...Object.values(compose.services)
      .filter(({ environment }) => environment?.['DRAIN_DELAY_MS'] !== undefined)
      .map(({ environment, stop_grace_period: grace }) => [environment, Number.parseInt(grace, 10)] as const),
    [unitSettings, unitValue('TimeoutStopSec')] as const,
    [kubernetesSettings, pod.terminationGracePeriodSeconds] as const,
  ];
  expect(graces).toHaveLength(4);
  for (const [{ DRAIN_DELAY_MS, DRAIN_SPREAD_MS }, seconds] of graces)
    expect(seconds * 1000).toBeGreaterThanOrEqual(
      Number(DRAIN_DELAY_MS) + Number(DRAIN_SPREAD_MS) + IN_FLIGHT_MS,
    );
});

test('a node still serves while its balancer notices that it is not ready', () => {
  const [interval, timeout] = ['interval', 'timeout'].map((name) =>
    Number(new RegExp(`health_${name} (\\d+)s`).exec(readSample('caddy/Caddyfile'))?.[1]),
  );
  const ofNginx = Number(
    /DRAIN_DELAY_MS of the nodes to (\d+)/.exec(readSample('nginx/check-nodes.sh'))?.[1],
  );
  expect(Number(unitSettings['DRAIN_DELAY_MS'])).toBeGreaterThanOrEqual(ofNginx);
  expect(Number(unitSettings['DRAIN_DELAY_MS'])).toBeGreaterThan(((interval ?? 0) + (timeout ?? 0)) * 1000);
});

test('Kubernetes keeps the nodes in their Service while the database restarts', () => {
  const { periodSeconds = 0, failureThreshold = 0 } = container?.readinessProbe ?? {};
  expect(periodSeconds * failureThreshold).toBe(120);
  expect(readSample('kubernetes/nodes.yaml')).toContain('Fails after 120 s');
});

test('only readiness depends on the database', () => {
  const pathOf = (probe: Probe | undefined) => probe?.httpGet.path;
  expect(pathOf(container?.readinessProbe)).toBe('/readyz');
  expect([pathOf(container?.livenessProbe), pathOf(container?.startupProbe)]).toEqual([
    '/healthz',
    '/healthz',
  ]);
});

test('the port is the same everywhere', () => {
  const port = VARIABLES.PORT.default;
  expect(image['PORT']).toBe(port);
  expect(readImage()).toContainEqual({ keyword: 'EXPOSE', text: port });
  expect(kubernetesSettings['PORT']).toBe(port);
  expect(container?.ports).toEqual([{ name: 'http', containerPort: Number(port) }]);
  for (const path of ['nginx/parley.conf', 'caddy/Caddyfile', 'kubernetes/proxy.conf'])
    for (const [, used] of readSample(path).matchAll(/[\w.]+\.(?:\d+|local):(\d+)/g)) expect(used).toBe(port);
});

test('limits of open files are twice the connections that a node accepts, as the run books say', () => {
  const connections = Number(VARIABLES.MAX_CONNECTIONS.default);
  expect(unitValue('LimitNOFILE')).toBeGreaterThanOrEqual(2 * connections);
  expect(compose.services['parley-a']?.ulimits.nofile).toBeGreaterThanOrEqual(2 * connections);
});

test('proxies drop idle connections to a node before it does', () => {
  const limit = Number(VARIABLES.KEEP_ALIVE_MS.default) / 1000;
  for (const [path, pattern] of [
    ['nginx/parley.conf', /keepalive_timeout (\d+)s/g],
    ['caddy/Caddyfile', /keepalive (\d+)s/g],
  ] as const) {
    const times = Array.from(readSample(path).matchAll(pattern), ([, seconds]) => Number(seconds));
    expect(times.length).toBeGreaterThan(0);
    for (const seconds of times) expect(seconds).toBeLessThan(limit);
  }
});

test('proxies wait longer for an idle connection than its pings take', () => {
  const intervals = ['bridge/connection-limits', 'gateway/websocket/keep-alive', 'gateway/http/sse'].map(
    (name) => {
      const text = readFileSync(join(ROOT, 'src', `${name}.ts`), 'utf8');
      return Number(
        /(?:PING_INTERVAL_MS =|pingIntervalMs:|HEARTBEAT_(?:INTERVAL_)?MS =) (\d[\d_]*)/
          .exec(text)?.[1]
          ?.replace('_', ''),
      );
    },
  );
  for (const path of ['nginx/parley.conf', 'kubernetes/proxy.conf']) {
    const seconds = Number(/proxy_read_timeout (\d+)s/.exec(readSample(path))?.[1]);
    for (const interval of intervals) expect(seconds * 1000).toBeGreaterThan(2 * interval);
  }
});
