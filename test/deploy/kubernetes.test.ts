import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { connectLegacy } from '../../src/testing/index.ts';
import type { LegacyClient } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import { sendMessage } from '../harness/ann-and-bob.ts';
import { startDnsServer } from '../harness/dns-server.ts';
import { isMissing } from '../harness/installed-programs.ts';
import { startNginxWith } from '../harness/nginx.ts';
import { findFreePort } from '../harness/ports.ts';
import { CACHE, ROOT } from '../harness/program.ts';
import { createConversationOf, sidOf, startCluster } from './cluster.ts';
import { DEPLOY, readSample } from './samples.ts';

const FOLDER = join(DEPLOY, 'kubernetes');
/** Sessions over the proxy. */
const [MIN_CLIENTS, MAX_CLIENTS] = [6, 60];

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly namespace?: string };
  readonly spec?: Record<string, never>;
}

const readManifests = (file: string): Manifest[] =>
  parseAllDocuments(readSample(`kubernetes/${file}`), { merge: true }).map(
    (document) => document.toJS() as Manifest,
  );

const kustomization = parse(readSample('kubernetes/kustomization.yaml')) as {
  resources: string[];
  configMapGenerator: { name: string; envs?: string[]; files?: string[] }[];
};
/** Not part of the kustomization. */
const OTHERS = ['migrate.yaml', 'secret.example.yaml'];
const manifests = [...kustomization.resources, ...OTHERS].flatMap(readManifests);

test('the kustomization names every file of the folder', () => {
  const generated = kustomization.configMapGenerator.flatMap(({ envs = [], files = [] }) => [
    ...envs,
    ...files,
  ]);
  const named = [...kustomization.resources, ...generated, ...OTHERS, 'kustomization.yaml'];
  expect(readdirSync(FOLDER).toSorted()).toEqual(named.toSorted());
});

test('manifests have only fields that Kubernetes knows, with values of the right types', async () => {
  await using stack = new AsyncDisposableStack();
  // Below node_modules, where the types are resolved.
  const folder = await mkdtemp(join(CACHE, 'kubernetes-'));
  stack.defer(() => rm(folder, { recursive: true }));
  const source = manifests.map((manifest, index) => {
    const { apiVersion, kind } = manifest;
    const module = `kubernetes-types/${apiVersion.includes('/') ? apiVersion.replace('networking.k8s.io', 'networking') : `core/${apiVersion}`}`;
    return `import type { ${kind} as Kind${index} } from '${module}';\nexport const value${index}: Kind${index} = ${JSON.stringify(manifest)};`;
  });
  await writeFile(join(folder, 'manifests.ts'), source.join('\n'));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout, status } = spawnSync(
    process.execPath,
    [
      tsc,
      '--noEmit',
      '--strict',
      '--ignoreConfig',
      '--types',
      '',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
      join(folder, 'manifests.ts'),
    ],
    { encoding: 'utf8' },
  );
  expect([stdout, status]).toEqual(['', 0]);
});

test('names that manifests refer to exist', () => {
  const text = JSON.stringify(manifests);
  const namesOf = (kind: string) =>
    new Set(manifests.filter((manifest) => manifest.kind === kind).map(({ metadata }) => metadata.name));
  const referred = (pattern: RegExp) => Array.from(text.matchAll(pattern), ([, name]) => name);
  const configMaps = new Set(kustomization.configMapGenerator.map(({ name }) => name));
  for (const name of referred(/"configMap(?:Ref)?":\{"name":"([^"]+)"/g)) expect(configMaps).toContain(name);
  for (const name of referred(/"secret(?:Key)?Ref":\{"name":"([^"]+)"/g))
    expect(namesOf('Secret')).toContain(name);
  for (const name of referred(/"claimName":"([^"]+)"/g))
    expect(namesOf('PersistentVolumeClaim')).toContain(name);
  for (const name of referred(/"service":\{"name":"([^"]+)"|"serviceName":"([^"]+)"/g).filter(Boolean))
    expect(namesOf('Service')).toContain(name);
});

test('every pod runs without privileges, with a read-only file system, and without an account of the API', () => {
  const pods = manifests.flatMap(({ kind, spec }) =>
    ['StatefulSet', 'Deployment', 'Job'].includes(kind)
      ? [(spec as unknown as { template: { spec: PodSpec } }).template.spec]
      : [],
  );
  expect(pods).toHaveLength(3);
  for (const pod of pods) {
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    });
    for (const container of pod.containers)
      expect(container).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { limits: { memory: expect.any(String) as string } },
      });
  }
});

interface PodSpec {
  readonly containers: readonly object[];
}

test('the settings and the secrets are accepted together, and the example of the secrets is not', () => {
  const settings = Object.fromEntries(
    readSample('kubernetes/settings.env')
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const secret = readManifests('secret.example.yaml')[0] as unknown as { stringData: Record<string, string> };
  const replaced = {
    DATABASE_URL: 'postgres://parley:password@host:5432/parley',
    REDIS_URL: 'redis://default:password@host:6379',
    AUTH_SECRET: 'a secret of accounts',
    ADMIN_TOKEN: 'token-of-the-operators',
    TURN_SECRET: 'a secret of coturn',
  };
  expect(Object.keys(secret.stringData)).toEqual(Object.keys(replaced));
  expect(readConfig({ ...settings, ...replaced, NODE_NAME: 'parley-0' })).toMatchObject({
    MEDIA_DIR: '/media/files',
    DRAIN_DELAY_MS: 10_000,
  });
  expect(() => readConfig({ ...settings, ...secret.stringData })).toThrow(/4 problem\(s\)/);
});

/** Returns the directives of a block without comments and indentation. */
function blockOf(text: string, head: string): string[] {
  const start = text.indexOf(head);
  const indentation = /^ */.exec(text.slice(text.lastIndexOf('\n', start) + 1))?.[0] ?? '';
  const block = text.slice(start, text.indexOf(`\n${indentation}}`, start));
  return block.split('\n').flatMap((line) => (/^\s*(?:#.*)?$/.test(line) ? [] : [line.trim()]));
}

test('the proxy passes requests as the nginx sample does, but for the scheme and the address that the Ingress knows', () => {
  const expected = blockOf(readSample('nginx/parley.conf'), 'location / {').map((line) =>
    line
      .replace('X-Forwarded-Proto $scheme', 'X-Forwarded-Proto $parley_scheme')
      .replace('X-Forwarded-For $remote_addr', 'X-Forwarded-For $proxy_add_x_forwarded_for'),
  );
  expect(expected.length).toBeGreaterThan(10);
  expect(blockOf(readSample('kubernetes/proxy.conf'), 'location / {')).toEqual(expected);
  for (const head of ['location ~ ^/(metrics', 'location ~ \\\\\\\\ {'])
    expect(blockOf(readSample('kubernetes/proxy.conf'), head)).toEqual(
      blockOf(readSample('nginx/parley.conf'), head),
    );
});

describe.skipIf(isMissing('nginx'))('the proxy', { timeout: 60_000 }, () => {
  test('keeps polling sessions on the pods with whose names their ids begin', async () => {
    await using stack = new AsyncDisposableStack();
    const port = await findFreePort();
    const pods = { 'parley-0': '127.0.0.2', 'parley-1': '127.0.0.3' };
    const dns = stack.use(
      await startDnsServer({
        'parley-0.parley-nodes.parley.svc.cluster.local': [pods['parley-0']],
        'parley-1.parley-nodes.parley.svc.cluster.local': [pods['parley-1']],
        'parley.parley.svc.cluster.local': Object.values(pods),
      }),
    );
    const settings = (name: keyof typeof pods) => ({
      NODE_NAME: name,
      HOST: pods[name],
      PORT: String(port),
    });
    stack.use(await startCluster({}, { a: settings('parley-0'), b: settings('parley-1') }));
    const http = blockOf(
      readSample('kubernetes/proxy.conf', {
        'resolver kube-dns.kube-system.svc.cluster.local ': `resolver 127.0.0.1:${dns.port} `,
        'svc.cluster.local:4000': `svc.cluster.local:${port}`,
      }),
      'http {',
    ).filter((line) => !/^http \{|_log |^'|_temp_path/.test(line));
    const proxy = stack.use(
      await startNginxWith((listen) =>
        http.join('\n').replace('listen 8080 ', `listen 127.0.0.1:${listen} `),
      ),
    );
    const { ann, bob, conversation } = await createConversationOf(proxy.url);
    stack.use(ann);
    stack.use(bob);
    const clients: LegacyClient[] = [];
    const sessionPods = new Set<string | undefined>();
    // The proxy chooses the pod of a new session at random.
    while (clients.length < MIN_CLIENTS || (sessionPods.size < 2 && clients.length < MAX_CLIENTS)) {
      const io = loadClient('2.5.0') as never;
      const client = stack.use(await connectLegacy(proxy.url, { io, transports: ['polling'] }));
      await client.push('authenticate', { token: bob.token });
      await client.push('join_conversation', { conversation_id: conversation.legacyId });
      clients.push(client);
      sessionPods.add(sidOf(client).split('.', 1)[0]);
    }
    expect(sessionPods).toEqual(new Set(Object.keys(pods)));
    await sendMessage(ann, conversation, 'to all');
    for (const client of clients)
      expect(await client.expect('message')).toMatchObject({ message: { content: 'to all' } });
    expect((await fetch(`${proxy.url}/metrics`)).status).toBe(404);
    expect((await fetch(`${proxy.url}/proxy-health`)).status).toBe(204);
  });
});

test('the folder has no file of secrets', () => {
  expect(existsSync(join(FOLDER, 'secret.yaml'))).toBe(false);
});
