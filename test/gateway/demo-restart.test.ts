import { expect, test, vi } from 'vitest';
import { createDataFolder } from '../harness/data-folder.ts';
import { PREFLIGHT_HEADERS as HEADERS, startDemoApp } from '../harness/demo-app.ts';

async function startDemo(dataDir: string, env: Record<string, string> = {}) {
  const restart = vi.fn<() => void>();
  const app = await startDemoApp({ env: { DATA_DIR: dataDir, ...env }, restart });
  const send = (headers: Readonly<Record<string, string>> = HEADERS) =>
    fetch(`${app.url}/demo/restart`, { method: 'POST', headers });
  return { app, restart, send, [Symbol.asyncDispose]: () => app[Symbol.asyncDispose]() };
}

test('the demo is restarted by requests of this machine only, and not by pages of other origins', async () => {
  await using folder = await createDataFolder();
  await using demo = await startDemo(folder.path);
  expect(await (await fetch(`${demo.app.url}/demo/restart`)).json()).toEqual({ isAvailable: true });
  expect(demo.restart).not.toHaveBeenCalled();
  for (const headers of [
    {},
    { ...HEADERS, 'x-forwarded-for': '192.0.2.1' },
    { ...HEADERS, 'sec-fetch-site': 'cross-site' },
    { ...HEADERS, origin: 'http://localhost:8080' },
  ])
    expect(await demo.send(headers)).toMatchObject({ status: 403 });
  expect(demo.restart).not.toHaveBeenCalled();
  expect(await demo.send()).toMatchObject({ status: 202 });
  expect(demo.restart).toHaveBeenCalledTimes(1);
});

test.for([
  ['the demo accounts are locked', 'folder', { DEMO: 'off' }],
  ['the data would be lost', 'memory', {}],
] as const)('no restart where %s', async ([, dataDir, env]) => {
  await using folder = await createDataFolder();
  await using demo = await startDemo(dataDir === 'memory' ? dataDir : folder.path, env);
  expect(await (await fetch(`${demo.app.url}/demo/restart`)).json()).toEqual({ isAvailable: false });
  expect(await demo.send()).toMatchObject({ status: 403 });
  expect(demo.restart).not.toHaveBeenCalled();
});
