import { cp, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, startProgram } from '../harness/program.ts';
import type { Command } from '../harness/program.ts';
import { NEW_ENTITY, TRIAL_PROGRAM } from './new-entity.ts';
import { readProjectFile } from './snippets.ts';

// Adds an entity to a copy of the sources, in the files that CONTRIBUTING.md lists under "Add an entity".

const COPIED = [
  'src',
  'scripts',
  'chaos/random.ts',
  'test/authorization',
  'package.json',
  'tsconfig.json',
  'schema.graphql',
];

/** Returns the paths of the table for the entity `note`, with an event of a circle. */
async function readListedFiles(): Promise<string[]> {
  const [, section = ''] = (await readProjectFile('CONTRIBUTING.md')).split('\n## Add an entity\n');
  const [table = ''] = section.split('\n## ');
  return [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, path = '']) =>
    path
      .replace('<entities>', 'notes')
      .replace('<entity>', 'note')
      .replace('<topic>', 'circle')
      .replace('<area>', 'circles'),
  );
}

async function openCopy() {
  const path = await mkdtemp(join(tmpdir(), 'parley-entity-'));
  for (const name of COPIED)
    await cp(join(ROOT, name), join(path, name), { recursive: true, verbatimSymlinks: true });
  await symlink(join(ROOT, 'node_modules'), join(path, 'node_modules'));
  const migrations = await readdir(join(path, 'src/db/migrations'));
  const number = String(migrations.length + 1).padStart(4, '0');
  return {
    /** Applies the entity's change to one file. */
    async apply(name: string): Promise<void> {
      const change = NEW_ENTITY[name] ?? '';
      const file = join(path, name.replace('NNNN', number));
      const text = typeof change === 'string' ? change : change(await readFile(file, 'utf8'));
      await writeFile(file, text.replaceAll('NNNN', number));
    },
    write: (name: string, text: string) => writeFile(join(path, name), text),
    async run(...command: Command): Promise<{ code: number | null; printed: string }> {
      const env = { PATH: join(ROOT, 'node_modules/.bin') };
      await using program = startProgram(command, env, path);
      const [code] = await program.exited;
      return { code, printed: program.printed.stdout + program.printed.stderr };
    },
    read: (name: string) => readFile(join(path, name), 'utf8'),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

test('adding an entity changes exactly the files that CONTRIBUTING lists', { timeout: 120_000 }, async () => {
  const listed = await readListedFiles();
  expect(listed.toSorted()).toEqual(Object.keys(NEW_ENTITY).toSorted());
  await using copy = await openCopy();
  for (const name of listed) await copy.apply(name);
  const config = { extends: './tsconfig.json', include: ['src', 'scripts'] };
  await copy.write('tsconfig.entity.json', JSON.stringify(config));
  await copy.write('trial.ts', TRIAL_PROGRAM);

  expect(await copy.run('tsc', '--noEmit', '-p', 'tsconfig.entity.json')).toEqual({ code: 0, printed: '' });
  expect(await copy.run('node', 'scripts/print-schema.ts')).toMatchObject({ code: 0 });
  expect(await copy.read('schema.graphql')).toMatch(/^type NoteAdded implements .*CircleEvent/m);
  const { code, printed } = await copy.run('node', 'trial.ts');
  expect({ code, printed }).toEqual({ code: 0, printed: expect.stringMatching(/^\{.*\}\n$/) });
  expect(JSON.parse(printed)).toMatchObject({
    node: { text: 'Milk' },
    event: { __typename: 'NoteAdded', note: { text: 'Milk' } },
  });
});
